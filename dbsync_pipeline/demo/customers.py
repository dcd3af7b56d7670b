"""Databases that a few of the demo's customers own, on the same server as the application's.

Each has a role of its own, which owns the database and nothing else, as somebody else's database would. The largest
customer has two, of which the second receives some mappings only.
"""

import secrets
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

_LARGEST = """
select "tenancyId"::text from "ProjectUser" group by "tenancyId" order by count(*) desc, "tenancyId" limit 3
"""
_REPORTED = ["teams", "users"]


@dataclass(frozen=True)
class CustomerDatabase:
    """A database for a customer.

    Attributes:
        database: its name on the server.
        url: how its owner connects; holds the password.
        mappings: what the customer wants of it; None means everything.
    """

    tenancy_id: str
    name: str
    database: str
    url: str = field(repr=False)
    mappings: list[str] | None

    @property
    def destination_id(self) -> str:
        """Its id, once it is configured."""
        return f"postgres:{self.tenancy_id}:{self.name}"


def create_customer_databases(connection: psycopg.Connection, url: str) -> list[CustomerDatabase]:
    """Create `customer_1` and so on for the three largest customers.

    Args:
        connection: a superuser's, to the application's database; not in a transaction.
        url: of that database.
    """
    server = conninfo_to_dict(url)
    customers = [tenancy for (tenancy,) in connection.execute(_LARGEST)]
    wanted: list[tuple[str, str, list[str] | None]] = [(tenancy, "main", None) for tenancy in customers]
    wanted[1:1] = [(tenancy, "reporting", _REPORTED) for tenancy in customers[:1]]
    created: list[CustomerDatabase] = []
    for number, (tenancy, name, mappings) in enumerate(wanted, start=1):
        database, password = f"customer_{number}", secrets.token_urlsafe(12)
        owner = sql.Identifier(database)
        connection.execute(sql.SQL("create role {} login password {}").format(owner, sql.Literal(password)))
        connection.execute(sql.SQL("create database {} owner {}").format(owner, owner))
        place = f"postgresql://{database}:{password}@{server['host']}:{server['port']}/{database}"
        created.append(CustomerDatabase(tenancy, name, database, place, mappings))
    return created
