"""A configuration with nothing left out: what a person sees who wrote the short forms."""

from __future__ import annotations

from service.model.normalized import resolved
from tests.registry import a_pipeline


def test_short_forms_show_their_defaults() -> None:
    fields = {"container": "li", "link": "a@href", "names": {"selector": "b", "many": True}}
    cleaner = {"cast": {"a": "int64"}, "drop_na": ["a"], "drop_duplicates": True}
    transformer = {"encode": {"c": "onehot"}, "normalize": {"x": "standard"}}
    whole = resolved(
        a_pipeline(
            name="short-forms",
            collectors=[
                {"type": "api", "endpoint": "https://example.org/rows", "pagination": "page"},
                {"type": "web", "id": "site", "url": "https://example.org", "css_selectors": fields},
            ],
            processors=[
                {"type": "cleaner", "config": cleaner},
                {"type": "transformer", "config": transformer},
            ],
        )
    )
    api, web = whole["collectors"]
    assert (api["id"], web["id"]) == ("api_0", "site")
    assert (api["pagination"]["type"], api["pagination"]["page_param"], api["pagination"]["start"]) == (
        "page",
        "page",
        1,
    )
    assert web["css_selectors"]["container"] == "li"
    assert web["css_selectors"]["link"]["attribute"] == "href"
    assert web["css_selectors"]["names"]["many"] is True
    cleaned, transformed = (p["config"] for p in whole["processors"])
    assert cleaned["cast"]["a"].items() >= {"type": "int64", "format": None, "on_error": "null"}.items()
    assert cleaned["drop_na"] == {"columns": ["a"], "how": "any"}
    assert cleaned["drop_duplicates"] == {"columns": [], "keep": "first", "order_by": []}
    assert transformed["normalize"]["x"] == {"method": "standard", "into": None}
    assert transformed["encode"]["c"]["handle_unknown"] == "null"
    assert whole["storage"][1]["table"] == "short_forms"


def test_what_is_off_stays_off() -> None:
    cleaner = {"type": "cleaner", "config": {"drop_na": False}}
    config = resolved(a_pipeline(processors=[cleaner]))["processors"][0]["config"]
    assert (config["drop_na"], config["drop_duplicates"]) == (False, False)
