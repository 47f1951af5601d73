"""Makes aiortc, where it is used, offer the loopback address: benchmarks stay on this machine.

Without this it offers every address but that one. Nothing else about it is changed.
"""

import importlib.util


def stay_on_loopback() -> None:
    """To be called before the first connection."""
    if importlib.util.find_spec("aioice") is None:
        return
    import aioice.ice

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
