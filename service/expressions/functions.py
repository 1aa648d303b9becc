"""The functions that SQL in a configuration may call, by family, and those that it may not, with what to write instead.

The lists are closed: a function of DuckDB that is on none of them is refused, too (a test compares them with all that
DuckDB has). What they hold looks at its arguments alone and answers the same at every run.
"""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


NUMBERS = names(
    """
    abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp
    factorial fdiv floor fmod gamma gcd greatest greatest_common_divisor isfinite isinf isnan lcm least
    least_common_multiple lgamma ln log log10 log2 mod multiply nextafter pi pow power radians round round_even
    roundbankers sign signbit sin sinh sqrt subtract tan tanh trunc xor
    """
)
TEXTS = names(
    """
    ascii bar base64 bin bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein
    editdist3 encode decode ends_with format formatreadabledecimalsize formatreadablesize format_bytes from_base64
    from_hex hamming hex instr jaccard jaro_similarity jaro_winkler_similarity lcase left left_grapheme length
    length_grapheme levenshtein lower lpad ltrim md5 mismatches nfc_normalize octet_length ord parse_dirname
    parse_dirpath parse_filename parse_path position prefix printf regexp_escape regexp_extract regexp_extract_all
    regexp_full_match regexp_matches regexp_replace regexp_split_to_array repeat replace reverse right right_grapheme
    rpad rtrim sha1 sha256 split split_part starts_with str_split str_split_regex string_split string_split_regex
    string_to_array strip_accents strlen strpos substr substring substring_grapheme suffix to_base64 to_binary to_hex
    translate trim ucase unbin unhex unicode upper url_decode url_encode from_binary to_base overlay like_escape
    not_like_escape ilike_escape not_ilike_escape array_to_string parse_formatted_bytes
    """
)
TIMES = names(
    """
    century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
    dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era extract hour isodow isoyear julian
    last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond
    millennium millisecond minute month monthname nanosecond normalized_interval quarter second strftime strptime
    time_bucket timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds
    to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years
    try_strptime week weekday weekofyear year yearweek
    """
)
LISTS = names(
    """
    array_append array_cat array_concat array_contains array_distinct array_extract array_filter array_has
    array_has_all array_has_any array_indexof array_intersect array_length array_pop_back array_pop_front
    array_position array_prepend array_push_back array_push_front array_reverse array_slice array_sort array_transform
    array_unique array_value array_zip cardinality element_at flatten len list_append list_apply list_avg list_cat
    list_concat list_contains list_count list_distinct list_element list_extract list_filter list_first list_has
    list_has_all list_has_any list_indexof list_intersect list_last list_max list_median list_min list_pack
    list_position list_prepend list_reduce list_reverse list_reverse_sort list_slice list_sort list_sum list_transform
    list_unique list_value list_where list_zip map map_concat map_contains map_entries map_extract map_extract_value
    map_from_entries map_keys map_values row struct_concat struct_extract struct_extract_at struct_insert struct_keys
    struct_pack struct_values array_aggr array_aggregate list_aggr list_aggregate array_apply filter apply
    """
)
JSON = names(
    """
    array_to_json from_json from_json_strict json_array json_array_length json_contains json_exists json_extract
    json_extract_path json_extract_path_text json_extract_string json_keys json_merge_patch json_object json_pretty
    json_quote json_structure json_transform json_transform_strict json_type json_valid json_value row_to_json to_json
    """
)
ANY = names("cast try_cast try coalesce if ifnull nullif constant_or_null typeof switch")
ROW = NUMBERS | TEXTS | TIMES | LISTS | JSON | ANY
"""The functions that an expression over one row may call."""

GROUP = names(
    """
    any_value avg bool_and bool_or count count_if count_star countif first last max mean median min stddev stddev_pop
    stddev_samp sum var_pop var_samp variance
    """
)
"""The functions over the rows of a group that ``aggregate`` takes beside those of ``ROW``."""

SETS = GROUP | names(
    """
    approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last arg_min
    arg_min_null arg_min_nulls_last argmax argmin array_agg bit_and bit_or bit_xor corr covar_pop
    covar_samp entropy favg fsum geomean geometric_mean group_concat histogram histogram_exact json_group_array
    json_group_object kahan_sum kurtosis kurtosis_pop list listagg mad max_by min_by mode product quantile
    quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
    regr_syy sem skewness string_agg sumkahan wavg weighted_avg grouping grouping_id
    """
)
"""The functions over several rows that a query may call."""
WINDOWS = names(
    """
    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
    """
)
TABLES = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
QUERY = ROW | SETS | WINDOWS | TABLES
"""The functions that a query may call."""

CLOCKS = names(
    """
    ago current_date current_localtime current_localtimestamp current_time current_timestamp get_current_time
    get_current_timestamp localtime localtimestamp now today transaction_timestamp
    """
)
"""What depends on the time of the run."""
_CHANCE = names("gen_random_uuid random reservoir_quantile setseed uuid uuidv4 uuidv7")
_BETWEEN_RELEASES = frozenset({"hash", "md5_number", "md5_number_lower", "md5_number_upper", "version"})
INSTEAD: dict[str, str] = {
    **dict.fromkeys(
        CLOCKS, "it answers something else each time; write the date as a literal, such as DATE '2024-01-31'"
    ),
    **dict.fromkeys(_CHANCE, "it answers something else each time; a version must come out the same"),
    **dict.fromkeys(_BETWEEN_RELEASES, "its answer changes with the release of DuckDB; use md5 or sha256"),
    "age": "use date_diff('day', a, b), or a - b",
    "error": "use a validator to stop a run",
    "array_reduce": "use list_sum, list_min, list_max or list_reduce",
    "bitand": "use a & b",
    "bitor": "use a | b",
    "bitxor": "use xor(a, b)",
    "initcap": "use upper(left(s, 1)) || lower(substr(s, 2))",
    "log1p": "use ln(1 + x)",
    "regexp_like": "use regexp_matches(s, pattern)",
    "truncate": "use trunc(x)",
    "convert": "use CAST(x AS type)",
    "isnull": "use x IS NULL",
    "nvl": "use coalesce(a, b)",
    "to_char": "use strftime(moment, format)",
    "to_date": "use strptime(s, format), or CAST(s AS DATE) for ISO dates",
    "to_number": "use CAST(s AS DOUBLE)",
    "iif": "use if(condition, a, b)",
    "len_chars": "use length(s)",
    "charindex": "use strpos(s, part)",
    "datefromparts": "use make_date(year, month, day)",
    "dateadd": "use d + INTERVAL 1 DAY",
    "getdate": "write the date as a literal, such as DATE '2024-01-31'",
    "group_concat_ws": "use string_agg(x, separator)",
    "percentile_cont": "use quantile_cont(x, share)",
    "percentile_disc": "use quantile_disc(x, share)",
    "std": "use stddev(x)",
    "rand": "it answers something else each time; a version must come out the same",
}
"""Functions that are refused to what to write instead."""
_SYSTEM = names(
    """
    alias can_cast_implicitly cast_to_type col_description create_sort_key currval finalize combine combine_aggr
    current_catalog current_connection_id current_database current_query current_query_id current_role current_schema
    current_schemas current_setting current_transaction_id current_user enum_code enum_first enum_last enum_range
    enum_range_boundary equi_width_bins format_pg_type format_type generate_subscripts get_bit set_bit get_block_size
    get_type getvariable has_any_column_privilege has_column_privilege has_database_privilege
    has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege has_schema_privilege
    has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege hive_partition_component
    in_search_path index_key inet_client_addr inet_client_port inet_server_addr inet_server_port invoke
    is_histogram_other_bin make_type map_to_pg_oid nextval obj_description path_join replace_type session_user setval
    shobj_description sleep_ms stats to_aggregate_state txid_current user vector_type write_log
    """
)
_RARE = names(
    """
    aggregate array_cosine_distance array_cosine_similarity array_cross_product array_distance array_dot_product
    array_grade_up array_inner_product array_negative_dot_product array_negative_inner_product array_resize
    array_reverse_sort array_select array_where array_to_string_comma_default assert_true binom bit_position bitstring
    bitstring_agg bitstring_byte_comparable decimal_average decimal_division grade_up icu_sort_key json
    json_copy_strftime_if_date json_copy_strftime_if_timestamp json_deep_merge json_deserialize_sql
    json_group_structure json_insert json_merge_patch_diff json_normalize json_remove json_replace json_serialize_plan
    json_serialize_sql json_set json_strip_nulls list_any_value list_approx_count_distinct list_bit_and list_bit_or
    list_bit_xor list_bool_and list_bool_or list_cosine_distance list_cosine_similarity list_distance list_dot_product
    list_entropy list_grade_up list_histogram list_inner_product list_kurtosis list_kurtosis_pop list_mad list_mode
    list_negative_dot_product list_negative_inner_product list_product list_resize list_select list_sem list_skewness
    list_stddev_pop list_stddev_samp list_string_agg list_var_pop list_var_samp lttb map_contains_entry
    map_contains_value parse_duckdb_log_message reduce regexp_split_to_table remap_struct st_asbinary st_asgeojson
    st_astext st_aswkb st_aswkt st_crs st_geomfromgeojson st_geomfromwkb st_intersects_extent st_setcrs
    struct_contains struct_has struct_indexof struct_position struct_update sum_no_overflow timetz_byte_comparable
    union_extract union_tag union_value unpivot_list uuid_extract_timestamp uuid_extract_version vertex_extract
    variant_group_array variant_group_object
    """
)
REFUSED = frozenset(INSTEAD) | _SYSTEM | _RARE
"""What DuckDB has and SQL in a configuration may not call."""
REFUSED_PREFIXES = ("__internal", "collate_", "icu_collate_", "pg_", "variant_", "duckdb_", "pragma_")


def reason(name: str) -> str:
    """Why a function is refused, or what to write instead; empty where there is nothing to add."""
    found = INSTEAD.get(name)
    return f": {found}" if found else ""
