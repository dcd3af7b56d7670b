"""The built-in mappings load, and a file that is wrong is refused with its line and the reason."""

from pathlib import Path

import pytest

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.catalog import BUILTIN_DIRECTORY, load_catalog
from dbsync_pipeline.mappings.document import location

TENANCY = "table: Tenancy\nid: id\n"
MAPPING = """\
mapping: users
description: Users.
source: User
tenancy: {column: tenancyId}
key: [id]
joins:
  - alias: email
    table: Email
    on: {userId: id}
columns:
  - {name: id, source: id, type: uuid}
  - {name: email, value: email."value", type: text, nullable: true}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "_tenancy.yaml").write_text(TENANCY)
    return tmp_path


def test_the_twelve():
    catalog = load_catalog()
    assert [mapping.mapping_id for mapping in catalog.mappings] == [
        *("connected_accounts", "contact_channels", "email_outboxes", "notification_preferences"),
        *("project_permissions", "refresh_tokens", "session_replays", "team_invitations", "team_member_profiles"),
        *("team_permissions", "teams", "users"),
    ]
    assert all(mapping.description for mapping in catalog.mappings)
    assert [column.name for column in catalog.tenancy.columns] == ["project_id", "branch_id"]
    assert {mapping.mapping_id for mapping in catalog.mappings if mapping.has_placement} == {"team_invitations"}


@pytest.mark.parametrize(
    ("mapping_id", "key"),
    [
        ("connected_accounts", ("id",)),
        ("contact_channels", ("id", "user_id")),
        ("notification_preferences", ("id",)),
        ("project_permissions", ("user_id", "permission_id")),
        ("team_member_profiles", ("team_id", "user_id")),
        ("team_permissions", ("team_id", "user_id", "permission_id")),
    ],
)
def test_keys(mapping_id, key):
    assert load_catalog().mapping(mapping_id).key == key


def test_no_secret_is_read():
    read = {
        name
        for mapping in load_catalog().mappings
        for name in (*mapping.source_columns, *(c for join in mapping.joins for c in mapping.join_columns(join)))
    }
    assert not read & {"refreshToken", "code", "s3Key", "browserSessionId", "tsxSource", "to", "renderedHtml"}


def test_activity_alone_sends_no_membership_again():
    mapping = load_catalog().mapping("team_member_profiles")
    assert mapping.join_columns(mapping.joins[0]) == {
        *("tenancyId", "projectUserId", "displayName", "profileImageUrl", "isAnonymous"),
    }


def test_mappings_of_ones_own_stand_beside_the_built_in_ones(tmp_path):
    (tmp_path / "orders.yaml").write_text(MAPPING.replace("mapping: users", "mapping: orders"))
    catalog = load_catalog(f"builtin, {tmp_path}")
    assert len(catalog.mappings) == 13
    assert catalog.select(["orders"]).mappings == (catalog.mapping("orders"),)


def test_yaml_words_are_words(directory):
    (directory / "users.yaml").write_text(MAPPING.replace("table: Email\n", "table: Email\n    match: {kind: no}\n"))
    join = load_catalog(str(directory)).mapping("users").joins[0]
    assert (join.on, join.match) == ({"userId": "id"}, {"kind": "no"})


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (("key: [id]", "key: [uid]"), 5, "key.0: key column 'uid' is not among the columns"),
        (("key: [id]", "key: [email]"), 5, "key.0: key column 'email' copies a source column, is never NULL"),
        (("key: [id]", "key: [id"), 6, "not YAML"),
        (("key: [id]", "key: [id]\nkey: [id]"), 5, "not YAML: 'key' stands twice"),
        (("key: [id]", "keys: [id]"), 1, "key: Field required"),
        (("type: uuid", "type: guid"), 11, "columns.0.type: no type 'guid'; there are"),
        (("type: text", "type: text, default: \"''\""), 12, "columns.1: a column with a `default` is never NULL"),
        (("name: email", "name: id"), 12, "columns.1.name: column 'id' stands twice for clickhouse"),
        (("name: email", "name: sync_email"), 12, "columns.1.name: names that start with sync_"),
        (('email."value"', 'mail."value"'), 12, "columns.1.value: 'mail' is no join; there are source, email"),
        (('value: email."value"', "value: (select 1)"), 12, "columns.1: a query inside an expression"),
        (('value: email."value"', "value: value"), 12, "columns.1: column 'value' needs its alias"),
        (('value: email."value"', "source: email, value: source.email"), 12, "columns.1: give either `source`"),
        (("alias: email", "alias: source"), 7, "joins.0: `source` is the source table's own alias"),
        (("on: {userId: id}", "on: {userId: other.id}"), 7, "joins.0: `on` matches columns of the source table alone"),
        (
            ("on: {userId: id}", "on: {userId: id}\n    match: {primary: true}"),
            10,
            "joins.0.match.primary: Input should",
        ),
        (("on: {userId: id}", "on: {}"), 9, "joins.0.on: Dictionary should have at least 1 item"),
        (
            ("on: {userId: id}", "on: {userId: id}\n    required: true\n    aggregate: {n: count(*)}"),
            7,
            "joins.0: an aggregate always has one row",
        ),
        (
            ("on: {userId: id}", "on: {userId: id}\n  - alias: email\n    table: T\n    on: {a: id}"),
            10,
            "joins.1.alias: two joins share the alias 'email'",
        ),
        (
            ("tenancy: {column: tenancyId}", "tenancy: {value: email.tenancyId, scope: [id]}"),
            4,
            "tenancy.value: the tenancy's value comes from a `required` join",
        ),
        (("tenancy: {column: tenancyId}", "tenancy: {}"), 4, "tenancy: give either `column` or `value`"),
        (("source: User", "source: User\nfilter: email.value = 1"), 4, "filter: a filter reads the source table alone"),
        (("source: User", "source: User\nowner: me"), 4, "owner: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_file_is_refused(directory, change, line, reason):
    assert change[0] in MAPPING
    path = directory / "users.yaml"
    path.write_text(MAPPING.replace(*change))
    with pytest.raises(MappingError) as caught:
        load_catalog(str(directory))
    assert caught.value.what.startswith(f"{path}:{line}: {reason}")
    assert caught.value.mend


def test_every_problem_of_a_file_is_told(directory):
    path = directory / "users.yaml"
    path.write_text(MAPPING.replace("uuid", "guid").replace("type: text", "type: string"))
    with pytest.raises(MappingError, match=r"'guid'.*'string'"):
        load_catalog(str(directory))


def test_two_mappings_of_one_target_are_refused(directory):
    (directory / "a.yaml").write_text(MAPPING)
    (directory / "b.yaml").write_text(MAPPING)
    with pytest.raises(MappingError) as caught:
        load_catalog(str(directory))
    assert caught.value.what == (
        f"{directory / 'b.yaml'}:1: mapping 'users' is also declared by {directory / 'a.yaml'}"
    )


def test_a_second_tenancy_table_is_refused(directory):
    (directory / "_tenancy.yaml").write_text("table: Customer\nid: id\n")
    with pytest.raises(MappingError, match=rf"{directory}/_tenancy.yaml:1: a second tenancy table"):
        load_catalog(f"builtin,{directory}")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no _tenancy.yaml"),
        ({"_tenancy.yaml": TENANCY}, "no mapping file"),
        ({"_tenancy.yaml": ""}, "Input should be a valid dictionary"),
    ],
)
def test_an_incomplete_directory_is_refused(tmp_path, files, reason):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(MappingError, match=reason):
        load_catalog(str(tmp_path))


def test_a_missing_directory_is_refused(tmp_path):
    with pytest.raises(MappingError, match="no directory"):
        load_catalog(str(tmp_path / "none"))


def test_an_unknown_mapping_is_refused():
    with pytest.raises(MappingError, match="no mapping 'user'"):
        load_catalog().mapping("user")


def test_location_is_that_of_the_innermost_part_there_is(directory):
    path = directory / "users.yaml"
    path.write_text(MAPPING)
    assert location(path, "joins", 0, "on", "userId") == f"{path}:9"
    assert location(path, "columns", 1, "default") == f"{path}:12"
    assert location(path, "nothing") == f"{path}:1"


def test_code_version_changes_with_the_mapping(directory):
    versions = set()
    for text in (MAPPING, MAPPING + "# A comment says nothing new.\n", MAPPING.replace("type: text", "type: label")):
        (directory / "users.yaml").write_text(text)
        versions.add(load_catalog(str(directory)).mapping("users").code_version)
    assert len(versions) == 2


def test_built_in_directory_is_packaged():
    assert len(list(BUILTIN_DIRECTORY.glob("*.yaml"))) == 13
