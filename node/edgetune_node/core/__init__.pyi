from .node import Node as Node
from .resumption import InterruptedCommand as InterruptedCommand
