"""Fragments of SQL mean to Postgres what they are made of."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from dbsync_pipeline.mappings.relation import array


@pytest.mark.parametrize(
    ("values", "type_name"),
    [
        (["", " ", "NULL", "a,b", "{}", 'say "x"', "back\\slash", '\\"', "it's", "ünï\n\t", "%s"], "text"),
        ([0, -1, 2**62], "bigint"),
        ([True, False], "boolean"),
        ([], "text"),
    ],
)
def test_an_array_holds_its_values_whatever_they_are(
    source_url: str, values: list[object], type_name: LiteralString
) -> None:
    query = sql.SQL("select {}::{}[]").format(array(values), sql.SQL(type_name))
    with psycopg.connect(source_url) as connection:
        assert connection.execute(query).fetchone() == (values,)
