"""The model files that ship with the package, and how they are opened; README.md has their origin.

The only place that imports onnxruntime for turn taking.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastrtc.errors import MissingExtension

__all__ = ["open_model"]


def open_model(name: str, extra: str) -> Any:
    """An ``onnxruntime.InferenceSession`` that computes in the calling thread only.

    Args:
        name: file in this folder.
        extra: which extra of fastrtc brings onnxruntime for it.

    Raises:
        MissingExtension: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtension(
            f"onnxruntime is not installed, which {name} needs: pip install 'fastrtc[{extra}]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        files(__name__).joinpath(name).read_bytes(),
        sess_options=options,
        providers=["CPUExecutionProvider"],
    )
