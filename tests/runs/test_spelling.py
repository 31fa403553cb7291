"""Every run has exactly one spelling, and no other is accepted."""

import re
from decimal import Decimal

import pytest
from any_run import COLD, WARM, refused, runs, terms, values
from hypothesis import given
from hypothesis import strategies as st

from plasticity.core.errors import UserError
from plasticity.runs import (
    Number,
    Run,
    SpellingError,
    Stage,
    models,
    optimisers,
    starts,
)

# One spelling


def rewritten(text):
    """Other ways to write the decimal `text`."""
    number = Decimal(text)
    return {
        f"+{text}",
        f"0{text}",
        f"{text}0" if "." in text else f"{text}.0",
        text.removeprefix("0")
        if text.startswith("0.")
        else f"{text}00"
        if "." in text
        else f"{text}.",
        f"{number:e}",
        f"{number:E}",
        f"{number:.30e}",
    } - {text}


@given(st.data())
def test_a_number_has_one_spelling(data):
    rate = data.draw(values(Number(above=0)))
    right = str(optimisers.term("adam", {"lr": rate}))
    wrong = data.draw(st.sampled_from(sorted(rewritten(right.removeprefix("adam-lr")))))
    with pytest.raises(SpellingError, match=re.escape(f"is spelt '{right}'")):
        optimisers.parse(f"adam-lr{wrong}")


@given(st.data())
def test_optional_parts_have_one_order_and_are_left_out_at_their_default(data):
    term = data.draw(terms(optimisers))
    template = term.member.template
    head = str(optimisers.term(term.member.name, {"lr": term.options["lr"]}))
    spelt = [
        part.key + template.kinds[part.field].write(term.options[part.field])
        for part in template.parts
        if term.options[part.field] not in ((), None)  # no text spells what is not there
    ]
    text = head + "".join(data.draw(st.permutations(spelt)))
    if text == str(term):
        assert optimisers.parse(text) == term
    else:
        with pytest.raises(SpellingError, match=re.escape(f"is spelt '{term}'")):
            optimisers.parse(text)


@given(st.data())
def test_a_set_of_modules_has_one_spelling(data):
    modules = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    text = "reset" + "+".join(map(str, modules))
    right = "reset" + "+".join(map(str, sorted(set(modules))))
    if text == right:
        assert str(starts.parse(text)) == right
    else:
        with pytest.raises(SpellingError, match=re.escape(f"is spelt '{right}'")):
            starts.parse(text)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("adam-lr1e-3", "adam-lr0.001"),
        ("adam-lr1E-3", "adam-lr0.001"),
        ("adam-lr0.0010", "adam-lr0.001"),
        ("adam-lr.001", "adam-lr0.001"),
        ("adam-lr00.001", "adam-lr0.001"),
        ("adam-lr+0.001", "adam-lr0.001"),
        ("adam-lr1.", "adam-lr1"),
        ("adam-lr1.0", "adam-lr1"),
        ("adam-lr0.001-b128", "adam-lr0.001"),
        ("adam-lr0.001-wd0", "adam-lr0.001"),
        ("adam-lr0.001-wd-0", "adam-lr0.001"),
        ("adam-lr0.001-b064", "adam-lr0.001-b64"),
        ("adam-lr0.001-b64-wd0.1", "adam-lr0.001-wd0.1-b64"),
        ("sgd-lr0.1-m0", "sgd-lr0.1"),
        ("sgd-lr0.1-wd0.0001-m0.9", "sgd-lr0.1-m0.9-wd0.0001"),
        ("sgd-lr0.1-b64-wd0.0001-m0.9", "sgd-lr0.1-m0.9-wd0.0001-b64"),
    ],
)
def test_another_spelling_of_an_optimiser_is_refused(wrong, right):
    with pytest.raises(SpellingError, match=re.escape(f"{wrong!r} is spelt {right!r}")):
        Run.parse(COLD.replace("adam-lr0.001", wrong))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("reset6+5", "reset5+6"),
        ("reset5+5", "reset5"),
        ("reset05", "reset5"),
        ("reset1+3+2", "reset1+2+3"),
    ],
)
def test_another_spelling_of_a_reset_is_refused(wrong, right):
    with pytest.raises(SpellingError, match=re.escape(f"{wrong!r} is spelt {right!r}")):
        Run.parse(WARM.replace("reset5+6", wrong))


@pytest.mark.parametrize(
    ("part", "wrong", "right"),
    [
        ("seed0", "seed00", "seed0"),
        ("seed0", "seed+0", "seed0"),
        ("seed0", "seed-0", "seed0"),
        ("seed0", "seed007", "seed7"),
        ("e500", "e0500", "e500"),
        ("e500", "e+500", "e500"),
        ("e500", "until99.0x500", "until99x500"),
        ("e500", "until1e1x500", "until10x500"),
        ("e500", "until99x0500", "until99x500"),
        ("resnet18", "resnet-d2w64", "resnet18"),
        ("resnet18", "resnet-d02w8", "resnet-d2w8"),
        ("resnet18", "resnet-d1w016", "resnet-d1w16"),
        ("cifar10", "cifar10-r16-n5000", "cifar10-n5000-r16"),
        ("cifar10", "cifar10-v500-n5000-r16", "cifar10-n5000-r16-v500"),
        ("cifar10", "cifar10-n05000", "cifar10-n5000"),
    ],
)
def test_another_spelling_of_a_part_is_refused(part, wrong, right):
    with pytest.raises(SpellingError, match=re.escape(f"{wrong!r} is spelt {right!r}")):
        Run.parse(COLD.replace(part, wrong))


def test_a_term_made_from_options_has_the_one_spelling_too():
    assert str(models.term("resnet", {"depth": 2, "width": 64})) == "resnet18"


def test_digits_of_other_scripts_are_another_spelling():
    with pytest.raises(SpellingError, match="is spelt 'e3'"):
        Stage.of(*["full", "adam-lr0.001", "e٣", "init"])


# Refusals


@pytest.mark.parametrize(
    ("part", "wrong", "close"),
    [
        ("adam-lr0.001", "adma-lr0.001", "adam"),
        ("adam-lr0.001", "rmspropp-lr0.001", "rmsprop"),
        ("cifar10", "cifar11", "cifar10"),
        ("cifar10", "digits-cluter", "digits-clutter"),
        ("resnet18", "resnet81", "resnet18"),
        ("full", "fulll", "full"),
        ("init", "int", "init"),
    ],
)
def test_an_unknown_word_is_refused_with_the_closest_known_one(part, wrong, close):
    message = refused(COLD.replace(part, wrong))
    assert f"{wrong!r}: expected one of " in message
    assert re.search(rf"did you mean '{close}[^']*'\?", message)


def test_an_unknown_word_is_refused_with_all_known_ones():
    message = refused(COLD.replace("adam", "zzz"))
    for member in optimisers.members.values():
        assert member.template.text in message
    assert "did you mean" not in message


@pytest.mark.parametrize(
    ("part", "wrong", "message"),
    [
        ("adam-lr0.001", "adam-lr-0.1", "lr: expected a number above 0, got -0.1"),
        ("adam-lr0.001", "adam-lr0", "lr: expected a number above 0, got 0.0"),
        ("adam-lr0.001", "adam-lr1e999", "lr: expected a number above 0, got inf"),
        ("adam-lr0.001", "adam-lr0.1-b0", "batch: expected a whole number of at least 1, got 0"),
        ("adam-lr0.001", "sgd-lr0.1-m1", "momentum: expected a number of at least 0 and below 1"),
        ("adam-lr0.001", "sgd-lr0.1-wd-1", "weight_decay: expected a number of at least 0"),
        ("adam-lr0.001", "adam", "unknown optimiser 'adam'"),
        ("adam-lr0.001", "adam-lr", "unknown optimiser 'adam-lr'"),
        ("adam-lr0.001", "adam-lrnan", "unknown optimiser 'adam-lrnan'"),
        ("adam-lr0.001", "adam-lr0.1-m0.9", "unknown optimiser 'adam-lr0.1-m0.9'"),
        ("adam-lr0.001", "adam-lr0.1-b64-b32", "unknown optimiser 'adam-lr0.1-b64-b32'"),
        ("adam-lr0.001", "Adam-lr0.001", "unknown optimiser 'Adam-lr0.001'"),
        ("cifar10", "cifar10-n0", "examples: expected a whole number of at least 1, got 0"),
        ("resnet18", "resnet-d0w8", "depth: expected a whole number of at least 1, got 0"),
        ("seed0", "seed-1", "seed 'seed-1': expected seed<number>"),
        ("seed0", "seed", "seed 'seed': expected seed<number>, a whole number of at least 0"),
        ("seed0", "0", "seed '0': expected seed<number>"),
        ("seed0", "seed1.5", "seed 'seed1.5': expected seed<number>"),
        ("e500", "e0", "length 'e0': expected e<number>, a whole number of at least 1"),
        ("e500", "e-5", "length 'e-5': expected e<number>"),
        ("e500", "500", "length '500': expected e<epochs>, i<updates>"),
        ("e500", "until99", "length 'until99': expected until<percent>x<epochs>, such as"),
        (
            "e500",
            "until0x5",
            "length 'until0x5': percent: expected a number above 0 and of at most",
        ),
        ("e500", "until101x5", "percent: expected a number above 0 and of at most 100, got 101"),
        ("e500", "until99x0", "expected until99x<number>, a whole number of at least 1"),
        ("e500", "until99xe5", "expected until99x<number>, a whole number of at least 1"),
        ("adam-lr0.001", "adam-lr0.001-cosin", "schedule: expected one of cosine, got the text"),
        ("adam-lr0.001", "adam-lr0.001-warm0", "warm: expected a whole number of at least 1"),
        ("e500", "e5.0", "length 'e5.0': expected e<number>"),
        ("init", "keep", "the first stage of a run starts with 'init'"),
        ("init", "reset1", "the first stage of a run starts with 'init'"),
    ],
)
def test_an_impossible_value_is_refused(part, wrong, message):
    path = COLD.replace(part, wrong)
    assert message in refused(path)
    assert f"run {path!r}: " in refused(path)


def test_a_module_that_the_model_lacks_is_refused():
    message = refused(WARM.replace("reset5+6", "reset5+7"))
    assert "start 'reset5+7': resnet18 has the modules 1 to 6 (stem, " in message


def test_module_zero_is_refused():
    message = refused(WARM.replace("reset5+6", "reset0+5"))
    assert "modules: expected a whole number of at least 1, got 0" in message


def test_a_fresh_start_after_a_stage_is_refused():
    message = refused(WARM.replace("reset5+6", "init"))
    assert "would forget the stages before it: write it as a run of its own" in message


@pytest.mark.parametrize(
    "stage",
    [
        "full_adam-lr0.001_e500",
        "full_adam-lr0.001_init",
        "full_adam-lr0.001_e500_init_init",
        "full",
        "full_",
        "___",
        "full-adam-lr0.001-e500-init",
    ],
)
def test_a_stage_with_a_wrong_number_of_tokens_is_refused(stage):
    place = "cifar10/resnet18/seed0"
    assert refused(f"{place}/{stage}").startswith(f"run '{place}/{stage}': ")
    if stage.count("_") != 3:
        assert f"stage {stage!r}: expected <data>_<optimiser>_<length>_<start>" in refused(
            f"{place}/{stage}"
        )


@pytest.mark.parametrize("path", ["", "/", "cifar10", "cifar10/resnet18", "cifar10/resnet18/seed0"])
def test_a_path_without_a_stage_is_refused(path):
    assert "expected <dataset>/<model>/seed<k>/<stage>[/<stage>...]" in refused(path)


@pytest.mark.parametrize("text", ["..", ".", "", " ", "~", "*", "{seed}", "\\", "\n", "\0", "a/b"])
@pytest.mark.parametrize("position", range(5))
def test_no_part_of_a_path_leads_elsewhere(text, position):
    parts = WARM.split("/")
    refused("/".join([*parts[:position], text, *parts[position + 1 :]]))
    refused("/".join([*parts[:position], text, *parts[position:]]))


@pytest.mark.parametrize("path", [f"/{WARM}", f"{WARM}/", f"./{WARM}", f"{WARM}\n", f" {WARM}"])
def test_nothing_stands_around_a_path(path):
    refused(path)


@pytest.mark.parametrize("token", ["", "..", "full ", "full\n", "FULL", "full+full"])
def test_no_token_is_empty_or_strange(token):
    refused(COLD.replace("full", token))


WORDS = st.sampled_from(
    [
        *re.split(r"([/_+-])", WARM),
        "cifar10-n5000-r16",
        "cifar10-v5000",
        "cifar10-n5000-r16-v500",
        "sgd-lr0.1",
        "-m0.9",
        "0",
        "e",
        ".",
        "..",
        "٣",
    ]
)


@st.composite
def damaged_paths(draw):
    """Valid paths with a few characters replaced, removed or put in."""
    text = list(str(draw(runs())))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text) - 1))
        text[place : place + draw(st.integers(0, 2))] = draw(st.text(max_size=2))
    return "".join(text)


@given(st.text() | st.lists(WORDS).map("".join) | damaged_paths())
def test_any_text_is_refused_or_is_the_one_spelling_of_a_run(text):
    try:
        run = Run.parse(text)
    except SpellingError:
        return
    assert str(run) == text


@pytest.mark.parametrize(
    ("part", "stem"),
    [
        ("cifar10", "cifar10-n"),
        ("seed0", "seed"),
        ("e350", "e"),
        ("adam-lr0.001", "adam-lr"),
        ("adam-lr0.001", "adam-lr0.001-b"),
        ("reset5+6", "reset"),
    ],
)
def test_a_number_too_long_to_read_is_refused(part, stem):
    # Python refuses to read whole numbers of more than 4,300 digits, with an error of its own.
    try:
        Run.parse(WARM.replace(part, stem + "1" * 5000))
    except SpellingError:
        return
    except ValueError as error:
        problem = str(error)  # out of the handler, or the report would print every digit
    else:
        problem = "accepted"
    pytest.fail(problem, pytrace=False)


def test_a_refusal_is_an_error_for_users():
    assert issubclass(SpellingError, UserError)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("drift0.5_adam-lr0.1_until99x9_init", "and spreads its data over the whole stage"),
        ("resampled_adam-lr0.1_until99x9_init", "and spreads its data over the whole stage"),
        ("full_adam-lr0.1-cosine_until99x9_init", "and spreads its learning rate over"),
        ("full_adam-lr0.1_until99x9_ticket1", "and prunes after as many epochs at each level"),
        (
            "full_adam-lr0.1_e1_ticket1/full_adam-lr0.1_until99x9_rewind",
            "and prunes after as many epochs at each level",
        ),
        (
            "full_adam-lr0.1_until99x9_init/full_adam-lr0.1_till20_keep",
            "nobody knows when the stage before it ends",
        ),
    ],
)
def test_what_needs_a_known_end_is_refused_where_there_is_none(path, reason):
    assert reason in refused(f"cifar10/resnet18/seed0/{path}")
