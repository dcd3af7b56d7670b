"""Values that a copy easily gets wrong, for the generator and the traffic to sprinkle over ordinary ones.

Everything here is legal in PostgreSQL, so a destination has to carry it or convert it by a documented rule. Texts and
times are in the form that PostgreSQL reads; times that Python cannot represent are therefore strings, too.

The texts, documents and times are as many as a prime number: the generator walks through each in even steps, and even
steps that other conditions on a row's number share no factor with reach all of them.
"""

TEXTS = (
    "",
    " ",
    "NULL",
    "null",
    r"\N",
    r"\\N",
    "\\",
    "ends with a backslash\\",
    r"C:\new\table\u0041",
    "tab\tbetween",
    "line\nfeed",
    "carriage\rreturn",
    "both\r\nof them",
    "\\\n",
    "bell\a backspace\b form feed\f vertical tab\v escape\x1b delete\x7f",
    "it's",
    'a "quoted" word',
    "''",
    '","',
    "{a,b}",
    "$1 %s %(name)s {name}",
    "'; drop table users; --",
    "<b>&amp;</b>",
    "\ufeffbyte order mark",
    "zero\u200bwidth\u200djoiner",
    "line\u2028and paragraph\u2029separators",
    "next\u0085line and no\u00a0break",
    "e\u0301 is not \u00e9",
    "Zoë Müller-Straße",
    "张伟",
    "山田 太郎",
    "محمد علي",
    "\u202eright to left\u202c",
    "👩‍👩‍👧‍👦 family",
    "🇪🇺 👍🏽",
    "\U0010fffd",
    "2024-02-30T25:61:61Z",
    "1e400",
    "true",
    "{}",
    "00000000-0000-0000-0000-000000000000",
)

# Longer than a page of PostgreSQL, hence stored out of line; too long for an indexed column.
LONG_TEXT = "".join(f"{number} 長い text\t{number * number}\n" for number in range(1_500))

# JSON null is not SQL NULL, and numbers go far beyond what a double or a 64-bit integer holds.
DOCUMENTS = (
    "null",
    "true",
    "false",
    "0",
    "-1.50",
    "9007199254740993",
    "18446744073709551616",
    "-170141183460469231731687303715884105729",
    "0.1000000000000000055511151231257827",
    "1e400",
    "1E-30",
    '""',
    '"null"',
    '"text"',
    '"\\u0001\\u001f\\u007f"',
    '"\\ud83d\\ude00 \\u2028 \\u00e9 \\\\ \\/ \\" \\b\\f\\n\\r\\t"',
    "[]",
    "{}",
    "[null]",
    '[1, "two", [3, [4, []]], {"five": 6}]',
    '{"": ""}',
    '{"a": null, "b": [{"c": {"d": [1, 2.0, true]}}]}',
    '{"\\\\N": "\\\\N", "tab\\t": "line\\nfeed", "quote\\"": "\\"", "名前": "张伟 🎉"}',
    '{"z": 1, "a": 2, "a": 3}',
    '{"n": 123456789012345678901234567890.123456789, "e": -0.0}',
    '"2024-01-01T00:00:00Z"',
    '{"0": "1", "true": "false", "null": "NULL"}',
    '{"user": {"id": "00000000-0000-0000-0000-000000000000"}}',
    "[" * 50 + "]" * 50,
)

TIMES = (
    "infinity",
    "-infinity",
    "4714-11-24 00:00:00 BC",
    "0044-03-15 12:00:00 BC",
    "0001-01-01 00:00:00",
    "1582-10-10 10:10:10.010",
    "1677-09-21 00:12:43.145",
    "1883-11-18 12:03:57.999",
    "1899-12-31 23:59:59.999",
    "1900-01-01 00:00:00",
    "1925-06-15 08:30:00.001",
    "1969-12-31 23:59:59.999",
    "1970-01-01 00:00:00",
    "1999-12-31 23:59:60",
    "2000-02-29 23:59:59.5",
    "2024-03-31 02:30:00",
    "2038-01-19 03:14:08",
    "2106-02-07 06:28:16",
    "2262-04-11 23:47:16.855",
    "2299-12-31 23:59:59.999",
    "2300-01-01 00:00:00",
    "9999-12-31 23:59:59.999",
    "294276-12-31 23:59:59.999",
)

# Keys in two destinations, hence odd texts among them; the first ones are what an application really uses.
PERMISSIONS = (
    "$read_members",
    "$update_team",
    "$invite_members",
    "admin",
    "billing:read",
    "",
    r"\N",
    "with\ttab",
    "two\nlines",
    'it\'s "quoted" \\ and 全部',
)

PROVIDERS = ("google", "github", "microsoft", "spotify", "custom_ünïcode\\provider")

BRANCH = 'it\'s a "branch"\\with\ttab: ünï'
