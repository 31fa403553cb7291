"""What is made of the settings' descriptions: the page, and the schema for editors."""

import json
import re

import jsonschema
import pytest
import yaml
from clone import ROOT

from plasticity.study import describe

CONFIGURATIONS = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]
CHECK = "run python -m plasticity.study.describe"


@pytest.mark.parametrize("path", describe.files(), ids=lambda path: path.name)
def test_what_is_made_of_the_descriptions_is_up_to_date(path):
    assert path.read_text(encoding="utf-8") == describe.files()[path], CHECK


def test_every_setting_is_described():
    whole = describe.schema()
    for section in (whole, *whole["$defs"].values()):
        for key, one in section["properties"].items():
            assert one.get("description"), key


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_each_configuration_is_as_the_schema_says_which_it_names(path):
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    place = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)[1]
    schema = json.loads((path.parent / place).read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"sedes": [0]}, "'sedes' was unexpected"),
        ({"seeds": ["a"]}, "'a' is not of type 'integer'"),
        ({"keep": "some"}, "'some' is not one of"),
        ({"figures": {"fig01": {"sed": [0]}}}, "'sed' was unexpected"),
        ({"extensions": {"ours": 3}}, "3 is not valid under any"),
    ],
)
def test_editors_see_what_is_wrong(overlay, words):
    with pytest.raises(jsonschema.ValidationError, match=words):
        jsonschema.validate(overlay, describe.schema())


def test_an_overlay_holds_any_part():
    jsonschema.validate({"extensions": {"ours": "lab/ours.py"}}, describe.schema())
