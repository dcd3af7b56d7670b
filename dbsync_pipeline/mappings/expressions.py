"""Reads the SQL expressions of a mapping: which columns they touch, and whether they can be NULL.

Expressions are Postgres SQL in which every column is written `alias."column"`. They are parsed, never matched as text;
what capture must watch is derived from them, so that no mapping has to list its columns twice.
"""

from collections.abc import Callable
from functools import cache

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError


@cache
def parse(expression: str) -> exp.Expr:
    """Parse one SQL expression. The tree is shared by all callers; nobody may change it.

    Raises:
        ValueError: it is not one SQL expression, or holds a column without an alias, a comment, or a query of its own.
    """
    try:
        tree = parse_one(f"select {expression}", dialect="postgres")
    except SqlglotError as error:
        raise ValueError(f"not a SQL expression: {expression!r} ({str(error).splitlines()[0]})") from None
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or set(_clauses(tree)) - {"expressions", "kind"}:
        raise ValueError(f"not one SQL expression: {expression!r}")
    value = tree.expressions[0]
    if value.find(exp.Alias) is not None:
        raise ValueError(f"an expression is not named with `as`; its column has the name: {expression!r}")
    if any(node.comments for node in tree.walk()):
        raise ValueError(f"a comment would swallow what follows; write it as YAML's, outside: {expression!r}")
    if value.find(exp.Subquery, exp.Select) is not None:
        raise ValueError(f"a query inside an expression is not followed by capture: {expression!r}; declare a join")
    for column in value.find_all(exp.Column):
        if not column.table or column.db or column.is_star:
            raise ValueError(f'column {column.name!r} needs its alias, as in source."{column.name}": {expression!r}')
    return value


def columns_of(expression: str, alias: str) -> frozenset[str]:
    """Return the columns of `alias` that the expression reads."""
    return frozenset(name for owner, name in _references(expression) if owner == alias)


def aliases_of(expression: str) -> frozenset[str]:
    """Return the aliases that the expression reads."""
    return frozenset(owner for owner, _ in _references(expression))


def may_be_null(expression: str, column_may_be_null: Callable[[str, str], bool]) -> bool:
    """Tell whether the expression can be NULL, given which (alias, column) can.

    Errs on the side of True: a mapping then says `nullable` or gives a `default`.
    """
    return _may_be_null(parse(expression), column_may_be_null)


def builds_json(expression: str) -> bool:
    """Tell whether the expression is a JSON object or array that it puts together itself, never JSON null."""
    return _is_call(parse(expression), _JSON_BUILDERS)


def not_null_where(condition: str) -> frozenset[tuple[str, str]]:
    """Return every (alias, column) that cannot be NULL in a row for which the condition is true."""
    found: set[tuple[str, str]] = set()
    for part in parse(condition).flatten() if isinstance(parse(condition), exp.And) else (parse(condition),):
        excludes_null = isinstance(part, exp.Is) and part.args.get("negate") and isinstance(part.expression, exp.Null)
        sides = (part.this,) if excludes_null else (part.this, part.expression) if isinstance(part, exp.EQ) else ()
        found |= {_reference(side) for side in sides if isinstance(side, exp.Column)}
    return frozenset(found)


_JSON_BUILDERS = frozenset({"jsonb_build_object", "jsonb_build_array", "json_build_object", "json_build_array"})
_NEVER_NULL = (exp.Literal, exp.Boolean, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Count, exp.Concat)
_FIRST_NOT_NULL = (exp.Coalesce, exp.Greatest, exp.Least)
# Binary operators, but JSON's look for what may not be there, and a dotted name may be any function.
_LOOKUP = (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar, exp.Dot)
_STRICT = (exp.Binary, exp.Unary, exp.Cast, exp.Extract, exp.In, exp.Between, exp.AtTimeZone)
_STRICT_FUNCTIONS = (exp.Lower, exp.Upper, exp.Replace, exp.Trim, exp.Length, exp.Floor, exp.Ceil, exp.Round, exp.Abs)


def _may_be_null(node: exp.Expr, column_may_be_null: Callable[[str, str], bool]) -> bool:
    def any_null(parts: list[exp.Expr]) -> bool:
        return any(_may_be_null(part, column_may_be_null) for part in parts)

    if isinstance(node, exp.Column):
        answer = column_may_be_null(*_reference(node))
    elif isinstance(node, _NEVER_NULL) or _is_call(node, _JSON_BUILDERS):
        answer = False
    elif isinstance(node, exp.Filter):
        answer = _may_be_null(node.this, column_may_be_null)
    elif isinstance(node, exp.Case):
        default = node.args.get("default")
        answer = default is None or any_null([*(branch.args["true"] for branch in node.args["ifs"]), default])
    elif isinstance(node, _FIRST_NOT_NULL):
        answer = all(_may_be_null(part, column_may_be_null) for part in _operands(node))
    elif isinstance(node, _STRICT + _STRICT_FUNCTIONS) and not isinstance(node, _LOOKUP):
        answer = any_null(_operands(node))
    else:
        answer = True
    return answer


def _is_call(node: exp.Expr, names: frozenset[str]) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() in names


def _operands(node: exp.Expr) -> list[exp.Expr]:
    return [part for part in node.iter_expressions() if not isinstance(part, exp.DataType | exp.Var)]


def _references(expression: str) -> frozenset[tuple[str, str]]:
    return frozenset(_reference(column) for column in parse(expression).find_all(exp.Column))


def _reference(column: exp.Column) -> tuple[str, str]:
    """Return alias and column as Postgres reads them: what is not quoted is folded to lower case."""
    owner, name = column.args["table"], column.this
    return (
        owner.name if owner.args.get("quoted") else owner.name.lower(),
        name.name if name.args.get("quoted") else name.name.lower(),
    )


def _clauses(tree: exp.Expr) -> list[str]:
    return [name for name, value in tree.args.items() if value]
