"""The settings of the service, from ``PENSTOCK_*`` variables, with safe defaults."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from service.kit import errors, memory_budget, oidc_settings, signing_keys, spark_url, store_url
from service.kit.labels import Label

PREFIX = "PENSTOCK_"
SECRET_PREFIX = "PENSTOCK_SECRET_"  # noqa: S105 - a prefix of names, not a password
TOKEN_VARIABLE = "PENSTOCK_TOKEN"  # noqa: S105 - the name of a variable
"""The access token that commands send to a running service."""
MIB = 1024 * 1024
LEASE_SECONDS = 15.0
"""How long a lease of a run holds unless it is renewed."""
DRAIN_SECONDS = 25.0
"""How long runs go on after SIGTERM: less than the 30 s after which Kubernetes kills."""
_QUERIES, _TASKS = 4, 7

_SIZE = re.compile(r"^(\d+)\s*([kmgt]?)(?:i?b)?$", re.IGNORECASE)
_BOUND = re.compile(r"Expected `(?:int|float)` (>=|<=|>) ([0-9.]+)$")
_KIND = re.compile(r"Expected `(int|float|bool)(?: \| null)?`, got `str`$")
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than"}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_UNITS = {"": 1, "k": 1024, "m": MIB, "g": 1024 * MIB, "t": 1024 * 1024 * MIB}
_SIZES = frozenset(
    {"run_memory_limit", "query_memory_limit", "max_body_bytes", "max_upload_bytes", "spool_limit", "cache_bytes"}
)
_PLACES = ("catalog_url", "warehouse_url")
"""Where an installation is: an empty one is refused, since without it one in the data directory would begin."""
_EMPTY_IS_NONE = frozenset({"spark_url", "otlp_endpoint", "openlineage_url", "drain_seconds", "health_port"})
"""Where an empty variable, as ``${NAME:-}`` makes one in Compose, is the same as none."""
_LISTS = frozenset(
    {"file_roots", "allowed_private_hosts", "cors_origins", "trusted_proxies", "jwt_secrets", "worker_labels"}
)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _run_memory() -> int:
    return _budget({}).run_bytes


def _query_memory() -> int:
    return _budget({}).query_bytes


def _budget(values: Mapping[str, Any]) -> memory_budget.Budget:
    """The budget of the machine for settings with these values; others have their defaults."""
    return memory_budget.divide(
        memory_budget.available(),
        runs=values.get("max_concurrent_runs", _cores()),
        queries=values.get("max_concurrent_queries") or _QUERIES,
        tasks=_TASKS,
        given={name: values[name] for name in ("run_memory_limit", "query_memory_limit") if name in values},
    )


def _about(text: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **bounds)


_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's settings. Each field is the variable ``PENSTOCK_<NAME>``; sizes take ``512MiB``."""

    data_dir: Annotated[str, _about("The data directory.")] = "./penstock-data"
    catalog_url: Annotated[
        str | None,
        _about("A PostgreSQL database for the catalog, postgresql://…; else a file in the data directory."),
    ] = None
    host: Annotated[str, _about("The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, _about("The port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8000
    health_port: Annotated[
        _Port | None,
        _about("The port of a worker that answers /health, /health/ready and /metrics; 0 takes a free one."),
    ] = None
    jwt_secret: Annotated[
        str | None, _about("Signs access tokens, at least 32 bytes; made and stored in the data directory if absent.")
    ] = None
    jwt_secrets: Annotated[
        tuple[str, ...] | None,
        _about("Instead of one secret, several: the first signs, all of them verify, so that secrets can be rotated."),
    ] = None
    admin_username: Annotated[str, _about("The first account's name.")] = "admin"
    admin_password: Annotated[
        str | None, _about("The first account's password; generated and printed once if absent.")
    ] = None
    access_token_hours: Annotated[float, _about("How long an access token is valid.", gt=0, le=24)] = 24
    refresh_token_days: Annotated[float, _about("How long a refresh token is valid.", gt=0, le=365)] = 30
    oidc_issuer: Annotated[
        str | None, _about("An OpenID Connect issuer whose tokens open the API, exactly as it names itself.")
    ] = None
    oidc_audience: Annotated[str | None, _about("The audience that these tokens must name.")] = None
    oidc_role_claim: Annotated[
        str, _about("The claim that has the role, or a path to it: realm_access.roles.", min_length=1)
    ] = "roles"
    oidc_role_map: Annotated[
        dict[str, Literal["viewer", "operator", "admin"]] | None,
        _about("value=role, value=role, or a JSON object; * is any token. Without it the values are the roles."),
    ] = None
    rate_limit_per_minute: Annotated[int, _about("Requests per minute of each user.", ge=1)] = 6000
    login_rate_limit_per_minute: Annotated[int, _about("Logins per minute of each address and name.", ge=1)] = 10
    max_concurrent_runs: Annotated[
        int, _about("Runs that may be in progress at the same time; 0 accepts runs, which wait.", ge=0)
    ] = msgspec.field(default_factory=_cores)
    worker_labels: Annotated[
        tuple[Label, ...], _about("Labels that this process has, for runs of pipelines whose execution.label is one.")
    ] = ()
    only_labelled: Annotated[
        bool, _about("Execute only runs that have one of the labels of this process, and none without a label.")
    ] = False
    max_queued_runs: Annotated[int, _about("Runs that may wait; a further one is refused with 503.", ge=0)] = 1000
    run_memory_limit: Annotated[int, _about("Memory of one run, in bytes.", ge=memory_budget.SMALLEST_RUN)] = (
        msgspec.field(default_factory=_run_memory)
    )
    drain_seconds: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=7 * 86_400)] | None,
        _about(
            "How long runs may go on after SIGTERM before they are handed to other processes; by default "
            f"{DRAIN_SECONDS:g} where several serve, and 0 (stopped at once) where one does."
        ),
    ] = None
    run_timeout_seconds: Annotated[float, _about("The longest time of a run.", gt=0)] = 24 * 3600
    query_timeout_seconds: Annotated[float, _about("The longest time of a query.", gt=0)] = 30
    query_memory_limit: Annotated[int, _about("Memory of one query, in bytes.", ge=memory_budget.SMALLEST_QUERY)] = (
        msgspec.field(default_factory=_query_memory)
    )
    max_concurrent_queries: Annotated[int, _about("Queries that may be in progress at the same time.", ge=1)] = _QUERIES
    query_cache_bytes: Annotated[
        int, _about("Memory for answers that are given again while their versions are read, in bytes; 0: none.", ge=0)
    ] = 64 * MIB
    max_queued_queries: Annotated[
        int, _about("Queries of one user that may wait for a place; a further one is refused with 503.", ge=1)
    ] = 64
    user_share: Annotated[
        float, _about("The part of the places of queries, downloads and tasks that one user may hold.", gt=0, le=1)
    ] = 0.5
    spool_limit: Annotated[
        int, _about("Disk for downloads that are read more slowly than they are made, in bytes.", ge=0)
    ] = 4096 * MIB
    max_body_bytes: Annotated[
        int, _about("The largest body of records to apply; other bodies are at most 1 MiB.", ge=1024)
    ] = 8 * MIB
    max_upload_bytes: Annotated[int, _about("The largest uploaded file.", ge=1024)] = 64 * 1024 * MIB
    file_roots: Annotated[
        tuple[str, ...],
        _about(
            "Directories that collectors may read, besides the uploads, but not the data directory in them; and "
            "buckets, or folders in them: s3://bucket/folder, gs://…, az://…."
        ),
    ] = ()
    allowed_private_hosts: Annotated[
        tuple[str, ...], _about("Private hosts (host, host:port, IP or CIDR) that collectors may call.")
    ] = ()
    cors_origins: Annotated[tuple[str, ...], _about("Origins that browsers may call from.")] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        _about("Reverse proxies (IP or CIDR) whose X-Forwarded-For and X-Forwarded-Proto name the client."),
    ] = ()
    log_format: Annotated[Literal["json", "console"], _about("The format of log lines.")] = "json"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _about("The lowest level that is logged.")] = (
        "info"
    )
    data_group: Annotated[
        str | None, _about("A group that may read the warehouse (name or number); only the service's user by default.")
    ] = None
    warehouse_url: Annotated[
        str | None,
        _about(
            "An object store that holds the versions and uploads: s3://bucket/prefix, gs://, az:// or file:///folder. "
            "Credentials come from the environment or the platform."
        ),
    ] = None
    warehouse_timeout_seconds: Annotated[
        float, _about("A request to the object store that has no success for this long is given up.", gt=0, le=3600)
    ] = 60
    cache_bytes: Annotated[
        int,
        _about(
            "Disk for files of the object store that are kept in the data directory, in bytes; those in use stay.", ge=0
        ),
    ] = 20 * 1024 * MIB
    accept_empty_catalog: Annotated[
        bool, _about("Start with an empty catalog although the warehouse holds versions; they move to .orphaned.")
    ] = False
    audit_queries: Annotated[
        Literal["hash", "text", "off"],
        _about("How the audit log has SQL: its SHA-256, its text, or not at all."),
    ] = "hash"
    audit_days: Annotated[int, _about("How many days the audit log is kept.", ge=1, le=36_500)] = 365
    scrub_mib_per_second: Annotated[
        float, _about("MiB per second at which stored files are read and checked every night, 0 for never.", ge=0)
    ] = 20
    openlineage_url: Annotated[
        str | None,
        _about("An OpenLineage service that gets events of runs; /api/v1/lineage without a path of its own."),
    ] = None
    openlineage_api_key: Annotated[str | None, _about("Sent to the OpenLineage service as a bearer token.")] = None
    openlineage_namespace: Annotated[
        str, _about("The namespace of jobs and of stored datasets in OpenLineage events.", min_length=1)
    ] = "penstock"
    otlp_endpoint: Annotated[
        str | None,
        _about("An OpenTelemetry collector (OTLP over HTTP, http://host:4318) for traces and metrics."),
    ] = None
    spark_url: Annotated[
        str | None, _about("A Spark Connect server (sc://host:15002) for pipelines with execution.engine: spark.")
    ] = None
    heartbeat_seconds: Annotated[
        float, _about("A run's process that is stopped for this long (SIGSTOP) is ended.", gt=0, le=3600)
    ] = 5
    lease_seconds: Annotated[
        float,
        _about("A service or a run's process that shows no life for this long has lost its runs.", gt=0, le=3600),
    ] = LEASE_SECONDS
    allow_unsandboxed_sql: Annotated[
        bool, _about("Answer SQL even if the kernel has no Landlock to confine its process.")
    ] = False

    @property
    def budget(self) -> memory_budget.Budget:
        """What children may use together: these limits, and those of one-shot tasks."""
        return _budget({name: getattr(self, name) for name in self.__struct_fields__})

    @property
    def grace_seconds(self) -> float:
        """How long runs go on after the first signal."""
        if self.drain_seconds is not None:
            return self.drain_seconds
        return DRAIN_SECONDS if self.catalog_url is not None and self.warehouse_url is not None else 0.0

    @property
    def spare_workers(self) -> int:
        """How many workers wait for a run while the service serves: one for each core that runs may use."""
        return min(self.max_concurrent_runs, _cores())

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """The configured secrets, the one that signs first; none if the data directory has it."""
        return self.jwt_secrets or ((self.jwt_secret,) if self.jwt_secret else ())

    @property
    def root_folders(self) -> tuple[Path, ...]:
        """The directories among the file roots."""
        folders = (r for r in self.file_roots if not store_url.names_objects(r))
        return tuple(store_url.folder_of(r) or Path(r) for r in folders)

    @property
    def root_buckets(self) -> tuple[str, ...]:
        """The buckets, and folders in buckets, among the file roots."""
        return tuple(r for r in self.file_roots if store_url.names_objects(r))

    @property
    def closed_folders(self) -> tuple[Path, ...]:
        """The folders of the service itself, which a file root that contains them does not open."""
        warehouse = store_url.folder_of(self.warehouse_url or "")
        return (self.root,) if warehouse is None else (self.root, warehouse)

    @property
    def root(self) -> Path:
        return Path(self.data_dir).expanduser().absolute()


def load(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """Settings from the environment; ``overrides`` (flags) that are not None win.

    Raises ``errors.Invalid`` naming every variable that is wrong. Unknown variables are ignored, since container
    platforms set some, too; ``unknown`` lists them for a warning.
    """
    fields = {f.name: f for f in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    problems: list[errors.Problem] = []
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable.startswith(SECRET_PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in fields and (text or name not in _EMPTY_IS_NONE):
            values[name] = text
    values.update({k: v for k, v in overrides.items() if v is not None})
    decoded: dict[str, Any] = {}
    for name, value in values.items():
        try:
            decoded[name] = msgspec.convert(_parsed(name, value), fields[name].type, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(errors.Problem(PREFIX + name.upper(), _plain(name, value, str(error))))
    problems += [*signing_keys.problems(decoded), *oidc_settings.problems(decoded)]
    empty = [name for name in _PLACES if decoded.get(name) == ""]
    problems += [errors.Problem(PREFIX + name.upper(), "is empty; set a URL, or unset it") for name in empty]
    for name in ("openlineage_url", "otlp_endpoint"):
        if not str(decoded.get(name) or "http://").startswith(("http://", "https://")):
            problems.append(errors.Problem(PREFIX + name.upper(), "is not an http:// or https:// URL"))
    if (wrong := spark_url.fault(str(decoded.get("spark_url") or "sc://localhost"))) is not None:
        problems.append(errors.Problem("PENSTOCK_SPARK_URL", wrong))
    if (fault := store_url.fault(str(decoded.get("warehouse_url") or "file:///x"))) is not None:
        problems.append(errors.Problem("PENSTOCK_WAREHOUSE_URL", fault))
    faults = (store_url.fault(root) for root in decoded.get("file_roots", ()) if "://" in root)
    problems += [errors.Problem("PENSTOCK_FILE_ROOTS", f"an entry {fault}") for fault in faults if fault is not None]
    if not str(decoded.get("catalog_url") or "postgresql://").startswith(("postgresql://", "postgres://")):
        problems.append(errors.Problem("PENSTOCK_CATALOG_URL", "is not a postgresql:// URL"))
    problems += [errors.Problem("PENSTOCK_TRUSTED_PROXIES", text) for text in _no_networks(decoded)]
    if problems:
        raise errors.Invalid.of(problems, "settings")
    budget = _budget(decoded)
    decoded["worker_labels"] = tuple(dict.fromkeys(decoded.get("worker_labels", ())))
    decoded |= {
        "max_concurrent_runs": budget.runs, "run_memory_limit": budget.run_bytes,
        "max_concurrent_queries": budget.queries, "query_memory_limit": budget.query_bytes,
    }  # fmt: skip
    return Settings(**decoded)


def _no_networks(decoded: Mapping[str, Any]) -> list[str]:
    """What is wrong with the addresses of trusted proxies."""
    found = []
    for text in decoded.get("trusted_proxies", ()):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            found.append(f"'{text}' is not an IP address or a network (10.0.0.0/8)")
    return found


def unknown(environment: Mapping[str, str]) -> list[errors.Problem]:
    """Variables that look like settings but are not, each with the setting that it may mean."""
    known = [PREFIX + name.upper() for name in Settings.__struct_fields__]
    return [
        errors.Problem(v, f"unknown setting{errors.did_you_mean(v, known)}")
        for v in environment
        if v.startswith(PREFIX) and not v.startswith(SECRET_PREFIX) and v not in (*known, TOKEN_VARIABLE)
    ]


def reduced(wanted: Mapping[str, Any], settings: Settings) -> list[errors.Problem]:
    """Settings (``max_concurrent_runs``, …) that are less than was wanted, because memory is short."""
    names = ("max_concurrent_runs", "max_concurrent_queries")
    return [
        errors.Problem(PREFIX + name.upper(), f"{getattr(settings, name)} instead of {wanted[name]}: memory is short")
        for name in names
        if str(wanted.get(name) or "").isdecimal() and int(wanted[name]) > getattr(settings, name)
    ]


def _plain(name: str, value: Any, text: str) -> str:
    """What is wrong with a value, in words; ``text`` is what its decoder says."""
    bound = _BOUND.match(text)
    if bound is not None:
        number = bound[2].removesuffix(".0")
        shown = f"{int(number) // MIB}MiB" if name in _SIZES and int(number) >= MIB else number
        return f"must be {_BOUNDS[bound[1]]} {shown}"
    if name == "worker_labels":
        return f"'{value}' is not a list of labels; a label has lower-case letters, digits, ., - and _"
    kind = _KIND.match(text)
    return f"'{value}' is not {_WORDS[kind[1]]}" if kind is not None else text


def _parsed(name: str, value: Any) -> Any:
    if name in _LISTS and isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if name == "oidc_role_map" and isinstance(value, str):
        return oidc_settings.role_map(value)
    if name in _SIZES and isinstance(value, str):
        match = _SIZE.match(value.strip())
        if match is None:
            raise ValueError(f"'{value}' is not a size; write bytes, or 512MiB")
        return int(match[1]) * _UNITS[match[2].lower()]
    return value


def secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The values for ``${NAME}`` in configurations: ``PENSTOCK_SECRET_NAME``."""
    return {k.removeprefix(SECRET_PREFIX): v for k, v in environment.items() if k.startswith(SECRET_PREFIX)}


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """The default of a setting, for display."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    factory = field.default_factory
    return factory() if callable(factory) else None
