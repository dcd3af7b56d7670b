"""Attacks I10 in the one place that every message passes: no form of a password gets through."""

import pytest

from dbsync_pipeline.errors import DbsyncError, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:s3cret@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:s3@cret@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:@s3@@cret@@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:s3/cr?e#t@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:s3:cret@h", "postgresql://u:***@h"),
        ("postgresql://u:s3://cret@h", "postgresql://u:***@h"),
        ("postgresql://u:s3%40cret@[::1]:5432/db", "postgresql://u:***@[::1]:5432/db"),
        ("postgresql://u@server:s3cret@h/db", "postgresql://u@server:***@h/db"),
        ("postgresql://u:s3cret@a,b:5433/db", "postgresql://u:***@a,b:5433/db"),
        ("HTTPS://u:s3@cret@h:8443/", "HTTPS://u:***@h:8443/"),
        ("redis://:s3cret@h", "redis://:***@h"),
        (
            "from http://a:s3cret@h to postgresql://b:s3@cret@i/x, as c@d",
            "from http://a:***@h to postgresql://b:***@i/x, as c@d",
        ),
        ("http://a:s3cret@h,postgresql://b:s3@cret@i", "http://a:***@h,postgresql://b:***@i"),
        ("['http://a:s3cret@h/','http://b:cret@i/']", "['http://a:***@h/','http://b:***@i/']"),
        ("http://h:8123/ and postgresql://h:5432/db", "http://h:8123/ and postgresql://h:5432/db"),
        ("host=h user=u password=s3cret dbname=d", "host=h user=u password=*** dbname=d"),
        ("host=h password = 's3 \\' cret' dbname=d", "host=h password = *** dbname=d"),
        ("host=h password='s3 cret", "host=h password=***"),
        (
            "postgresql://h/d?user=u&password=s3cret&sslpassword=cret&x=1",
            "postgresql://h/d?user=u&password=***&sslpassword=***&x=1",
        ),
        ("u@h says: no password supplied", "u@h says: no password supplied"),
    ],
)
def test_passwords_are_replaced(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert "cret" not in str(DbsyncError(text, text))
