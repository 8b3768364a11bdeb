from .base import Source as Source
from .blocks import Block as Block, decode_block as decode_block, encode_block as encode_block
from .conversion import check_chunk as check_chunk
from .mqtt import MqttSource as MqttSource
from .paced import DEFAULT_BLOCK_S as DEFAULT_BLOCK_S, PacedSource as PacedSource
from .registry import open_source as open_source, source_kinds as source_kinds
from .replay import played_files as played_files, recorded_spec as recorded_spec
