"""Every test process: one thread, no network, datasets in a folder of its own."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Settings that must stand before torch and matplotlib are imported by a test module."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")

    import torch as th

    th.set_num_threads(1)
    # a loaded machine is slow, not wrong; and the same examples are drawn every time
    hypothesis.settings.register_profile("simpl", deadline=None, derandomize=True, database=None)
    hypothesis.settings.load_profile("simpl")


@pytest.fixture(scope="session", autouse=True)
def private_datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Minari reads and writes below a temporary folder, never the user's datasets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        yield


def refuse_remote(host: object) -> None:
    """
    :param host: name or address to be reached
    :raises RuntimeError: if it is not this machine
    """
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return
    try:
        local = ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        local = False
    if not local:
        raise RuntimeError(f"Tests may not use the network: {name!r} was asked for.")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Connections and look-ups that would leave this machine raise at once."""
    getaddrinfo = socket.getaddrinfo
    originals = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_remote(host)
        return getaddrinfo(host, *args, **kwargs)

    def guarded(name: str) -> Any:
        def call(self: socket.socket, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse_remote(args[-1][0])  # the address is the last argument of all three
            return originals[name](self, *args)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        for name in originals:
            patch.setattr(socket.socket, name, guarded(name))
        yield
