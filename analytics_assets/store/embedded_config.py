"""What the embedded server is told: its configuration file, sized to the machine, and its port.

Belongs here: settings of the server and how they follow from memory and port. Does not: starting
anything. Invariant: the log holds no statement, no parameter and no error text of a session, for
any of these may quote personal data.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"
MIB = 1024 * 1024
GIB = 1024 * MIB
# Below the ports that Linux (32768) and macOS (49152) hand to outgoing connections.
FIRST_PORT, PORTS = 20_000, 10_000
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- looked at, never written to


def machine_memory() -> int:
    """Bytes of memory this process may use: the machine's, or its container's if that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in CGROUP_LIMITS:
        try:
            memory = min(memory, int(limit.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return memory


def shared_memory_is_scarce() -> bool:
    """Whether parallel queries would exhaust /dev/shm (containers get 64 MB by default)."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).total < GIB
    except OSError:
        return False


def cluster_name(data_dir: Path) -> str:
    """Name that every process of the server shows in its title; unique to the data folder."""
    return f"analytics-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"


def server_settings(
    *, port: int, name: str, memory: int, wal_compression: str, scarce_shared_memory: bool = False
) -> dict[str, str]:
    """Every setting that differs from PostgreSQL's own default; ``memory`` in bytes."""
    mib = memory // MIB
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "cluster_name": name,
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        # Hashing over and over makes words harder to guess; passwords here are drawn, 256 bits of
        # them. It would be half of the time of a connection (4.8 ms instead of 2.4).
        "scram_iterations": "1",
        # More did not pay: with 6 GB instead of 2 the marts of ten million events took 40 s
        # instead of 42, and nothing else less.
        "shared_buffers": f"{max(64, min(2048, mib // 8))}MB",
        "effective_cache_size": f"{max(128, mib // 2)}MB",
        "work_mem": f"{max(4, min(64, mib // 64))}MB",
        "maintenance_work_mem": f"{max(64, min(256, mib // 16))}MB",
        "max_wal_size": "4GB",
        "wal_compression": wal_compression,
        # One transaction may touch every day partition of a table.
        "max_locks_per_transaction": "1024",
        "enable_partitionwise_aggregate": "on",
        "enable_partitionwise_join": "on",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",
        "log_file_mode": "0600",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        # In the server's log LOG ranks above ERROR: errors, which may quote values, stay out.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_lock_waits": "off",
    }
    if scarce_shared_memory:
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


def render_settings(settings: dict[str, str]) -> str:
    """The settings as a PostgreSQL configuration file."""
    lines = [f"{key} = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in settings.items()]
    return "\n".join(
        ["# Written at every start. Your own settings: alter system set ...", *lines, ""]
    )


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket() as probe:
        # As PostgreSQL does, so that connections still closing do not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def candidate_ports(name: str) -> Iterator[int]:
    """Free ports, in an order that depends on the cluster's name so that homes seldom collide."""
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    for step in range(PORTS):
        port = FIRST_PORT + (first + step) % PORTS
        if port_is_free(port):
            yield port
