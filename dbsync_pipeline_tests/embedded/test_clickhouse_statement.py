import pytest

from dbsync_pipeline.embedded.clickhouse_statement import Statement, read_statement


@pytest.mark.parametrize(
    ("text", "head", "data_format", "data"),
    [
        (b"INSERT INTO t (a, b) FORMAT TabSeparated\n1\t2\n", b"INSERT INTO t (a, b) ", "TabSeparated", b"1\t2\n"),
        (b"insert into t format CSV \r\n1,2", b"insert into t ", "CSV", b"1,2"),
        (b"insert into t format CSV\n\n1", b"insert into t ", "CSV", b"\n1"),
        (b"insert into t format TSV\n\t1", b"insert into t ", "TSV", b"\t1"),
        (b"insert into t (values, format) values (1, 2)", b"insert into t (values, format) ", "Values", b" (1, 2)"),
        (
            b"insert into `format x` FORMAT RowBinary\n\x00;\xff'",
            b"insert into `format x` ",
            "RowBinary",
            b"\x00;\xff'",
        ),
        (b"insert into format format CSV\n1", b"insert into format ", "CSV", b"1"),
        (b"insert into d.values values (1)", b"insert into d.values ", "Values", b" (1)"),
        (b"/* values */ insert into t -- format CSV\n format JSONEachRow {}", None, "JSONEachRow", b"{}"),
        (b"insert into t settings a = 'values' values (1)", b"insert into t settings a = 'values' ", "Values", b" (1)"),
        (b"insert into t format\n\tNative\nxyz", b"insert into t ", "Native", b"xyz"),
    ],
)
def test_insert_is_cut_where_its_data_begins(text: bytes, head: bytes | None, data_format: str, data: bytes) -> None:
    statement = read_statement(text)
    assert statement.insert_format == data_format
    assert text[statement.data_offset :] == data
    if head is not None:
        assert statement.insert_head == head


@pytest.mark.parametrize(
    "text",
    [
        b"insert into t select 1",
        b"insert into t with 1 as x select x",
        b"insert into t from infile 'x' format CSV",
        b"insert into function null('a Int8') (a) select 1",
    ],
)
def test_insert_without_data_is_left_to_the_engine(text: bytes) -> None:
    assert not read_statement(text).insert_head


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"select 1", ""),
        (b"select 1\n FORMAT Native", "Native"),
        (b"select 1 format JSON;", "JSON"),
        (b"select 1 format JSON -- end", "JSON"),
        (b"select 1 format JSONEachRow settings max_threads = 1, s = 'format'", "JSONEachRow"),
        (b"select format from t", ""),
        (b"select 'x format CSV'", ""),
        (b"select (select 1 format CSV)", ""),
        (b"select $$ format CSV $$ format TSV", "TSV"),
        (b"select format ('{}', 1) format Vertical", "Vertical"),
    ],
)
def test_answer_format_is_that_of_the_closing_clause(text: bytes, expected: str) -> None:
    assert read_statement(text).answer_format == expected


@pytest.mark.parametrize(
    ("text", "several"),
    [
        (b"select 1; select 2", True),
        (b"select 1;", False),
        (b"select 1; -- over\n /* and out */ ", False),
        (b"select ';'; ", False),
        (b"select 1;;", True),
    ],
)
def test_a_second_statement_is_noticed(text: bytes, several: bool) -> None:
    assert read_statement(text).several is several


@pytest.mark.parametrize(
    ("text", "answers", "selects", "for_session"),
    [
        (b"select 1", True, True, False),
        (b"(select 1) union all (select 2)", True, True, False),
        (b"with 1 as x select x", True, True, False),
        (b"show tables", True, False, False),
        (b"create table t (a Int8) engine = Memory", False, False, False),
        (b"set a = 1", False, False, True),
        (b"use d", False, False, True),
        (b"create temporary table t (a Int8)", False, False, True),
        (b"create or replace temporary table t (a Int8)", False, False, True),
        (b"/* set */ optimize table t", False, False, False),
    ],
)
def test_kinds_of_statements(text: bytes, answers: bool, selects: bool, for_session: bool) -> None:
    statement = read_statement(text)
    assert (statement.answers, statement.selects, statement.for_session) == (answers, selects, for_session)


def test_nothing_is_a_statement_of_no_kind() -> None:
    assert read_statement(b" -- nothing\n") == Statement(())
