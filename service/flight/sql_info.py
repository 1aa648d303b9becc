"""The answers to GetSqlInfo and GetXdbcTypeInfo: facts about this server and its SQL, by the numbers of Flight SQL."""

from __future__ import annotations

from collections.abc import Sequence

from pyarrow import lib

import service

Value = str | bool | int

_INFO: dict[int, Value] = {
    0: "Penstock",
    1: service.__version__,
    2: lib.cpp_version,
    3: True,  # read-only
    4: True,  # SQL
    5: False,  # Substrait
    8: 0,  # transactions: none
    9: False,  # CancelQuery; a call that is cancelled ends its query
    100: 0,  # handles of prepared statements do not expire
    500: False, 501: False, 502: False,  # CREATE and DROP of catalogs, schemas, tables
    503: 1,  # names are case-insensitive
    504: '"',
    505: 1,  # also in quotes
    506: True,  # each table that is listed can be read
    507: 3,  # nulls come last
    513: "\\",
    514: "",
    515: True, 516: True, 518: True, 519: True, 520: True, 521: True,
    522: 3, 523: True, 524: False, 525: 7, 526: 1,
    528: 2,  # full outer joins
    529: "schema",
    531: "",  # there are no catalogs
    532: False,
    533: 0, 534: 0, 535: 0, 536: False, 537: False,
    538: 15, 539: True, 540: 3,
    557: 64 * 1024,  # bytes of a statement
    562: 0, 563: False,
    572: False, 573: False, 574: False, 576: False,
}  # fmt: skip
_LONG = frozenset({557})  # those of 64 bits
_CHILD: dict[type, int] = {str: 0, bool: 1, int: 3}

_VALUE = lib.dense_union(
    [
        lib.field("string_value", lib.string()),
        lib.field("bool_value", lib.bool_()),
        lib.field("bigint_value", lib.int64()),
        lib.field("int32_bitmask", lib.int32()),
        lib.field("string_list", lib.list_(lib.field("item", lib.string()))),
        lib.field("int32_to_int32_list_map", lib.map_(lib.int32(), lib.list_(lib.int32()))),
    ]
)
INFO_SCHEMA = lib.schema([lib.field("info_name", lib.uint32(), nullable=False), lib.field("value", _VALUE)])


def info(wanted: Sequence[int]) -> lib.Table:
    """The facts with the numbers ``wanted``, or all of them; numbers that are not known are left out."""
    known = [number for number in _INFO if not wanted or number in wanted]
    children: list[list[Value]] = [[] for _ in _VALUE]
    types, offsets = [], []
    for number in known:
        value = _INFO[number]
        place = 2 if number in _LONG else _CHILD[type(value)]
        types.append(place)
        offsets.append(len(children[place]))
        children[place].append(value)
    values = lib.UnionArray.from_dense(
        lib.array(types, lib.int8()), lib.array(offsets, lib.int32()),
        [lib.array(found, _VALUE.field(place).type) for place, found in enumerate(children)],
        [_VALUE.field(place).name for place in range(_VALUE.num_fields)],
    )  # fmt: skip
    return lib.Table.from_arrays([lib.array(known, lib.uint32()), values], schema=INFO_SCHEMA)


TYPES_SCHEMA = lib.schema(
    [
        lib.field("type_name", lib.string(), nullable=False),
        lib.field("data_type", lib.int32(), nullable=False),
        lib.field("column_size", lib.int32()),
        lib.field("literal_prefix", lib.string()),
        lib.field("literal_suffix", lib.string()),
        lib.field("create_params", lib.list_(lib.field("item", lib.string(), nullable=False))),
        lib.field("nullable", lib.int32(), nullable=False),
        lib.field("case_sensitive", lib.bool_(), nullable=False),
        lib.field("searchable", lib.int32(), nullable=False),
        lib.field("unsigned_attribute", lib.bool_()),
        lib.field("fixed_prec_scale", lib.bool_(), nullable=False),
        lib.field("auto_increment", lib.bool_()),
        lib.field("local_type_name", lib.string()),
        lib.field("minimum_scale", lib.int32()),
        lib.field("maximum_scale", lib.int32()),
        lib.field("sql_data_type", lib.int32(), nullable=False),
        lib.field("datetime_subcode", lib.int32()),
        lib.field("num_prec_radix", lib.int32()),
        lib.field("interval_precision", lib.int32()),
    ]
)
# DuckDB's name, the number in ODBC, the digits or characters, the quotes of a literal, the radix of a number
_TYPES: tuple[tuple[str, int, int | None, str | None, int | None], ...] = (
    ("BOOLEAN", -7, 1, None, None), ("TINYINT", -6, 3, None, 10), ("UTINYINT", -6, 3, None, 10),
    ("BIGINT", -5, 19, None, 10), ("UBIGINT", -5, 20, None, 10), ("BLOB", -3, None, "'", None),
    ("HUGEINT", 2, 38, None, 10), ("DECIMAL", 3, 38, None, 10), ("INTEGER", 4, 10, None, 10),
    ("UINTEGER", 4, 10, None, 10), ("SMALLINT", 5, 5, None, 10), ("USMALLINT", 5, 5, None, 10),
    ("FLOAT", 7, 24, None, 2), ("DOUBLE", 8, 53, None, 2), ("INTERVAL", 10, None, "'", None),
    ("VARCHAR", 12, None, "'", None), ("DATE", 91, 10, "'", None), ("TIME", 92, 15, "'", None),
    ("TIMESTAMP", 93, 26, "'", None), ("TIMESTAMP WITH TIME ZONE", 93, 32, "'", None),
)  # fmt: skip
_DATETIME, _VARCHAR = 9, 12
_SUBCODES = {91: 1, 92: 2, 93: 3}


def types(number: int | None) -> lib.Table:
    """The types of SQL, or those with a number of ODBC."""
    rows = [
        {
            "type_name": name, "data_type": kind, "column_size": size, "literal_prefix": quote,
            "literal_suffix": quote, "create_params": ["precision", "scale"] if name == "DECIMAL" else None,
            "nullable": 1, "case_sensitive": kind == _VARCHAR, "searchable": 3,
            "unsigned_attribute": None if radix is None else name.startswith("U"), "fixed_prec_scale": False,
            "auto_increment": None if radix is None else False, "local_type_name": name,
            "minimum_scale": 0 if radix == 10 else None,
            "maximum_scale": None if radix != 10 else size if name == "DECIMAL" else 0,
            "sql_data_type": _DATETIME if kind in _SUBCODES else kind, "datetime_subcode": _SUBCODES.get(kind),
            "num_prec_radix": radix, "interval_precision": None,
        }
        for name, kind, size, quote, radix in _TYPES
        if number in (None, kind)
    ]  # fmt: skip
    return lib.Table.from_pylist(rows, schema=TYPES_SCHEMA)
