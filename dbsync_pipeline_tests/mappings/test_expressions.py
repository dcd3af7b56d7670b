"""What is read off an expression: its columns, and whether it can be NULL."""

import pytest

from dbsync_pipeline.mappings.expressions import (
    aliases_of,
    builds_json,
    columns_of,
    may_be_null,
    not_null_where,
    parse,
)


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ('source."displayName"', {"displayName"}),
        ("source.displayName", {"displayname"}),
        ("SOURCE.x", {"x"}),
        ('source."a" + other."b" + source."c"', {"a", "c"}),
        ("source.\"data\"->>'team_id'", {"data"}),
        ("dbsync.uuid_or_null(source.\"data\"->>'team_id')", {"data"}),
        ('case when source."a" is null then source."b" else source."c" end', {"a", "b", "c"}),
        ("'source.\"a\"'", set()),
        ('extract(epoch from source."at") * 1000', {"at"}),
        ('count(*) filter (where source."a")', {"a"}),
        ('source."a" at time zone source."zone"', {"a", "zone"}),
        ('source."a"[source."i"]', {"a", "i"}),
    ],
)
def test_columns_of(expression, columns):
    assert columns_of(expression, "source") == columns


def test_aliases_of():
    assert aliases_of('coalesce(email."value", source."value", \'\')') == {"email", "source"}


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "not one SQL expression"),
        ("select", "not a SQL expression"),
        ("(", "not a SQL expression"),
        ("source.a, source.b", "not one SQL expression"),
        ("source.a from secrets", "not one SQL expression"),
        ("source.a; drop table users", "not one SQL expression"),
        ("source.a as b", "its column has the name"),
        ("source.a -- first", "a comment"),
        ("source.a /* first */ + 1", "a comment"),
        ("(select max(x.a) from x)", "declare a join"),
        ("exists (select 1)", "declare a join"),
        ("a", "needs its alias"),
        ("source.a + b", "needs its alias"),
        ("source.*", "needs its alias"),
        ("public.source.a", "needs its alias"),
    ],
)
def test_what_is_no_expression(expression, reason):
    with pytest.raises(ValueError, match=reason):
        parse(expression)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("s.there", False),
        ("s.missing", True),
        ("null", True),
        ("'x'", False),
        ("true", False),
        ("coalesce(s.missing, s.there)", False),
        ("coalesce(s.missing, s.missing)", True),
        ("greatest(s.missing, 1)", False),
        ("least(s.missing, s.missing)", True),
        ("nullif(s.there, 1)", True),
        ("s.there + 1", False),
        ("s.there + s.missing", True),
        ("s.there || s.missing", True),
        ("concat(s.missing, 'x')", False),
        ("concatenate_badly(s.there)", True),
        ("-s.there", False),
        ("not s.missing", True),
        ("(s.there)", False),
        ("s.missing is null", False),
        ("s.missing is not distinct from 1", False),
        ("s.there = s.missing", True),
        ("s.there in (1, 2)", False),
        ("s.there in (1, null)", True),
        ("s.there between 1 and s.missing", True),
        ("s.there::text", False),
        ("s.missing::text", True),
        ("lower(replace(s.there::text, '_', '-'))", False),
        ("lower(replace(s.missing::text, '_', '-'))", True),
        ("s.there->>'x'", True),
        ("s.there->'x'", True),
        ("s.there #>> '{x}'", True),
        ("case when s.missing then 1 else 2 end", False),
        ("case when s.missing then 1 end", True),
        ("case s.there when 1 then s.missing else 2 end", True),
        ("floor(extract(epoch from s.there) * 1000)", False),
        ("floor(extract(epoch from s.missing) * 1000)", True),
        ("s.there at time zone 'UTC'", False),
        ("count(*)", False),
        ("count(s.missing) filter (where s.missing > 1)", False),
        ("sum(s.there)", True),
        ("coalesce(sum(s.there), 0)", False),
        ("max(s.there)", True),
        ("jsonb_build_object('a', s.missing)", False),
        ("to_jsonb(s.there)", True),
        ("any_function(s.there)", True),
        ("dbsync.uuid_or_null(s.there)", True),
    ],
)
def test_may_be_null(expression, expected):
    assert may_be_null(expression, lambda _, column: column == "missing") is expected


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("s.a is not null", {"a"}),
        ("s.a is null", set()),
        ("s.a is not true", set()),
        ("s.a = 'X' and s.b is not null and s.c > 1", {"a", "b"}),
        ("s.a = s.b", {"a", "b"}),
        ("s.a is not null or s.b = 1", set()),
        ("not (s.a = 1)", set()),
        ("coalesce(s.a, 1) = 1", set()),
        ("true", set()),
    ],
)
def test_not_null_where(condition, columns):
    assert not_null_where(condition) == {("s", column) for column in columns}


def test_builds_json():
    assert builds_json("jsonb_build_object('a', s.b)")
    assert not builds_json("s.b")
    assert not builds_json("jsonb_build_object('a', s.b)->'a'")
