"""Where an external database is, and whether a worker may go there.

A connection string comes from a tenancy's owner and is treated as hostile: of libpq's keywords only those count that
can neither read a file nor run anything here, every host is resolved once, checked, and connected to by the address
that was checked, so that a name cannot answer differently the second time. Messages name host, port and database and
never show the string (I10).
"""

import os
import re
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dbsync_pipeline.errors import ConnectionStringError, UnreachableError

_KEYWORDS = frozenset({
    "host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "channel_binding", "target_session_attrs",
})  # fmt: skip
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_VARIABLE_PREFIX = "DBSYNC_EXTERNAL_"
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
"""What a host looks like; anything else may be the end of a password that holds an unescaped `@`."""

_MOST_HOSTS = 4
_MOST_ADDRESSES_OF_A_HOST = 2
"""libpq gives each address the whole time that connecting may take: a long list would hold a worker for minutes."""

_TRANSLATION = IPv6Network("64:ff9b::/96")
"""Through a NAT64 gateway, an IPv4 address looks like this."""

_UNICAST = IPv6Network("2000::/3")
_PROTOCOL_ASSIGNMENTS = IPv4Network("192.0.0.0/24")
"""Metadata services of some clouds are here; the standard library calls a part of it public."""

_FIXED = {
    # What libpq would look for by itself, in the environment or the home directory of whoever runs the worker.
    "password": "",
    "options": "",
    "passfile": os.devnull,
    "sslcertmode": "disable",
    "gssencmode": "disable",
    "application_name": "dbsync",
}


@dataclass(frozen=True)
class Policy:
    """What the operator allows.

    Attributes:
        private_addresses: whether private, loopback and link-local addresses may be connected to.
        require_tls: whether a connection must be encrypted.
        secrets: directory of the files that a connection string may be read from; none means no files.
    """

    private_addresses: bool
    require_tls: bool
    secrets: Path | None


@dataclass(frozen=True)
class Address:
    """A place that a worker may connect to.

    Attributes:
        place: host, port and database, for people.
        parameters: what libpq gets; holds the password.
    """

    place: str
    parameters: dict[str, str] = field(repr=False)


def look_up(connection: str, policy: Policy) -> Address:
    """Read a connection string, or what `env:NAME` or `file:NAME` refer to, and resolve and check its hosts.

    Raises:
        ConnectionStringError: it cannot be read, or asks for what is not allowed.
        UnreachableError: a host's name does not resolve.
    """
    given = _parsed(_dereferenced(connection, policy))
    missing = [name for name in ("host", "dbname", "user") if not given.get(name)]
    if missing:
        raise ConnectionStringError(f"a connection string lacks {', '.join(missing)}", _FORM)
    mode = given.get("sslmode", "")
    if policy.require_tls and mode not in _ENCRYPTED:
        if mode:
            raise ConnectionStringError(
                f"sslmode={mode} may leave a connection unencrypted", "Use require, verify-ca or verify-full."
            )
        given["sslmode"] = "require"
    if given.get("sslrootcert", "system") != "system":
        raise ConnectionStringError("sslrootcert names a file of the worker's machine", "Only `system` is allowed.")
    hosts, names, addresses, ports = given["host"].split(","), list[str](), list[str](), list[str]()
    if len(hosts) > _MOST_HOSTS:
        raise ConnectionStringError(f"a connection string names {len(hosts)} hosts", f"At most {_MOST_HOSTS} may be.")
    for host, port in zip(hosts, _ports(given.get("port", ""), len(hosts)), strict=True):
        for address in _resolved(host, port, policy)[:_MOST_ADDRESSES_OF_A_HOST]:
            names.append(host)
            addresses.append(address)
            ports.append(str(port))
    lists = {"host": ",".join(names), "hostaddr": ",".join(addresses), "port": ",".join(ports)}
    return Address(f"{given['host']}:{ports[0]}/{given['dbname']}", {**_FIXED, **given, **lists})


def shown(connection: str) -> str:
    """Return what anybody may see of a connection string: host, port and database, or the reference that it is."""
    if connection.partition(":")[0] in _REFERENCES:
        return connection
    try:
        given = _parsed(connection)
    except ConnectionStringError:
        return "not readable"
    return f"{given.get('host', '')}:{given.get('port') or 5432}/{given.get('dbname', '')}"


_REFERENCES = ("env", "file")
_FORM = "Write it as postgresql://user:password@host:port/database, env:NAME or file:NAME."


def _dereferenced(connection: str, policy: Policy) -> str:
    kind, separator, name = connection.partition(":")
    if not separator or kind not in _REFERENCES:
        return connection
    if kind == "env":
        if not name.startswith(_VARIABLE_PREFIX):
            raise ConnectionStringError(
                f"variable {name} may not be read", f"Only names that start with {_VARIABLE_PREFIX} may."
            )
        if name not in os.environ:
            raise ConnectionStringError(f"variable {name} is not set", "Set it where the workers run.")
        return os.environ[name]
    if policy.secrets is None:
        raise ConnectionStringError(
            "connection strings may not be read from files", "Name their directory in DBSYNC_EXTERNAL_SECRETS."
        )
    if not name or Path(name).name != name:
        raise ConnectionStringError(f"{name!r} is no name of a file in DBSYNC_EXTERNAL_SECRETS", _FORM)
    try:
        return (policy.secrets / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConnectionStringError(
            f"file {name} of DBSYNC_EXTERNAL_SECRETS cannot be read", "It is looked for where the workers run."
        ) from None


def _parsed(connection: str) -> dict[str, str]:
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(connection).items() if value is not None}
    except psycopg.ProgrammingError:
        # The driver's own message quotes the string.
        raise ConnectionStringError("a connection string cannot be read", _FORM) from None
    refused = sorted(given.keys() - _KEYWORDS)
    if refused:
        raise ConnectionStringError(
            f"a connection string may not set {', '.join(refused)}", f"Allowed are {', '.join(sorted(_KEYWORDS))}."
        )
    return given


def _ports(text: str, hosts: int) -> list[int]:
    try:
        ports = [int(port or 5432) for port in text.split(",")]
    except ValueError:
        ports = []
    if len(ports) == 1:
        ports *= hosts
    if len(ports) != hosts or not all(0 < port < 1 << 16 for port in ports):
        raise ConnectionStringError("a connection string needs one port, or one for each host", _FORM)
    return ports


def _resolved(host: str, port: int, policy: Policy) -> list[str]:
    if not _HOST.fullmatch(host):
        raise ConnectionStringError(
            "a connection string names something else than a host, such as a socket directory",
            f"{_FORM[:-1]}, with @, / and % in a password as %40, %2F and %25.",
        )
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnreachableError(f"host {host} is not known", "Check its name; work goes on when it resolves.") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not policy.private_addresses and not _is_public(address):
            raise ConnectionStringError(
                f"{host} is at {address}, which is not a public address",
                "Set DBSYNC_EXTERNAL_PRIVATE_ADDRESSES=true if tenancies may name hosts of your own networks.",
            )
    return addresses


def _is_public(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATION:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is None:
            return address.is_global and address in _UNICAST
        address = inner
    return address.is_global and not address.is_multicast and address not in _PROTOCOL_ASSIGNMENTS
