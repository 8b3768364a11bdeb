from .node import Node as Node
from .resumption import Interrupted as Interrupted
