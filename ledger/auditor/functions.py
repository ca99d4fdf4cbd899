"""The functions an auditor may call: pure, bounded, by name. Whatever is not listed is refused.

A name is listed only if the function reads nothing but its arguments, writes nothing, and cannot
fill the memory with one short call. Left out on purpose: everything that reads settings or files,
runs SQL given as text (`query_to_xml`), sleeps, locks or notifies; `repeat`, `zeroblob` and
`randomblob` (size); `random` (an answer should come out the same tomorrow).

On SQLite the public views themselves may call no others: see `sqlite_child`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
DATABASE: Final = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL"}


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_WINDOW: Final = words(
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value"
    " nth_value"
)
_SHARED: Final = words(
    "avg count max min sum abs ceil ceiling coalesce concat concat_ws exp floor length ln log lower"
    " ltrim mod nullif power replace round rtrim sign sqrt string_agg substr substring trim trunc"
    " upper octet_length"
)
_SQLITE: Final = words(
    "group_concat total json_group_array json_group_object"
    " char format hex ifnull iif instr log10 log2 pow printf quote typeof unicode"
    " date datetime julianday strftime time timediff unixepoch"
    " json json_array json_array_length json_each json_extract json_object json_quote json_tree"
    " json_type json_valid"
)
_POSTGRESQL: Final = words(
    "any_value array_agg bool_and bool_or every grouping json_agg json_object_agg jsonb_agg"
    " jsonb_object_agg mode percentile_cont percentile_disc stddev stddev_pop stddev_samp var_pop"
    " var_samp variance"
    " ascii btrim char_length character_length chr div format greatest initcap least left lpad md5"
    " quote_literal reverse right row rpad split_part starts_with strpos translate"
    " regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace"
    " regexp_split_to_array regexp_split_to_table regexp_substr"
    " array_length array_position array_to_string cardinality string_to_array string_to_table"
    " unnest generate_series"
    " age date_part date_trunc justify_days justify_hours justify_interval make_date"
    " make_timestamp now to_char to_date to_number to_timestamp"
    " json_array_elements json_array_elements_text json_array_length json_build_array"
    " json_build_object json_each json_each_text json_extract_path json_extract_path_text"
    " json_object_keys json_strip_nulls json_typeof to_json to_jsonb"
    " jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array"
    " jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text"
    " jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array"
    " jsonb_path_query_first jsonb_pretty jsonb_strip_nulls jsonb_typeof"
)

FUNCTIONS: Final[Mapping[str, frozenset[str]]] = {
    SQLITE: _WINDOW | _SHARED | _SQLITE,
    POSTGRESQL: _WINDOW | _SHARED | _POSTGRESQL,
}
# Those that may stand where a view may stand.
TABLE_FUNCTIONS: Final[Mapping[str, frozenset[str]]] = {
    SQLITE: words("json_each json_tree"),
    POSTGRESQL: words(
        "generate_series unnest string_to_table regexp_split_to_table regexp_matches"
        " json_array_elements json_array_elements_text json_each json_each_text json_object_keys"
        " jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text"
        " jsonb_object_keys jsonb_path_query"
    ),
}
# What SQLite calls behind operators and keywords, so that its authorizer knows them too.
SQLITE_OPERATORS: Final = words("-> ->> glob like current_date current_time current_timestamp")

# Functions whose memory a number in the text decides: name -> which argument must be a small
# whole number, or FORMAT where the first is a format whose widths must be small.
FORMAT: Final = -1
WIDTH_LIMIT: Final = 1000
BOUNDED: Final[Mapping[str, int]] = {"lpad": 1, "rpad": 1, "format": FORMAT, "printf": FORMAT}

# What to write instead, where the right name is not the most similar one.
_ON_SQLITE: Final[Mapping[str, str]] = {
    "array_agg": "json_group_array(x)",
    "date_part": "strftime('%Y', x)",
    "date_trunc": "strftime('%Y-%m-01', x), date(x, 'start of month')",
    "generate_series": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < 10)",
    "greatest": "max(a, b)",
    "jsonb_agg": "json_group_array(x)",
    "jsonb_array_elements": "json_each(x)",
    "least": "min(a, b)",
    "left": "substr(x, 1, n)",
    "now": "datetime('now')",
    "random": "`ledger sample`, which draws the same items again",
    "right": "substr(x, -n)",
    "split_part": "instr(x, y) and substr(x, 1, n)",
    "starts_with": "x LIKE 'start%' or substr(x, 1, n) = 'start'",
    "strpos": "instr(x, y)",
    "to_char": "strftime('%Y-%m', x)",
}
_ON_POSTGRESQL: Final[Mapping[str, str]] = {
    "char": "chr(x)",
    "date": "CAST(x AS date) or substr(x, 1, 10)",
    "datetime": "CAST(x AS timestamp)",
    "group_concat": "string_agg(x, ',')",
    "ifnull": "coalesce(a, b)",
    "iif": "CASE WHEN a THEN b ELSE c END",
    "instr": "strpos(x, y)",
    "json_extract": "CAST(x AS jsonb) ->> 'key' or jsonb_path_query_first(CAST(x AS jsonb), '$.a')",
    "json_group_array": "json_agg(x)",
    "json_group_object": "json_object_agg(k, v)",
    "julianday": "CAST(x AS timestamp) and subtraction",
    "position": "strpos(x, y)",
    "printf": "format('%s', x)",
    "random": "`ledger sample`, which draws the same items again",
    "strftime": "to_char(CAST(x AS timestamp), 'YYYY-MM')",
    "unixepoch": "EXTRACT(epoch FROM CAST(x AS timestamp))",
}
INSTEAD: Final[Mapping[str, Mapping[str, str]]] = {
    SQLITE: _ON_SQLITE,
    POSTGRESQL: _ON_POSTGRESQL,
}
