"""One word for a filler, its weights and its settings; and one filler in several settings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.registry.variants import kind_of, kinds_of, names_of, split_fillers

FORMS = {
    "gray": ("gray", {}),
    "gray@color=0,0.5,1": ("gray", {"color": "0,0.5,1"}),
    "lama:big-lama.pt": ("lama", {"checkpoint": "big-lama.pt"}),
    "sd:C:\\models\\sd": ("sd", {"checkpoint": "C:\\models\\sd"}),
    "sd:runway/inpainting@steps=20,guidance=7.5,prompt=an empty street, at night": (
        "sd",
        {
            "checkpoint": "runway/inpainting",
            "steps": "20",
            "guidance": "7.5",
            "prompt": "an empty street, at night",
        },
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_a_word_is_taken_apart(text):
    name, settings = FORMS[text]
    assert split_fillers([text]) == ((name,), {name: settings} if settings else {})


def test_several_keep_their_order_and_equal_ones_are_one():
    assert split_fillers(["blur@sigma=5", "gray", "blur@sigma=5"]) == (
        ("blur", "gray"),
        {"blur": {"sigma": "5"}},
    )


@pytest.mark.parametrize("text", ["", ":x", "@a=1", "gray@", "gray:", "gray@sigma", "gray@=3", "gray@sigma="])
def test_other_forms_are_refused(text):
    with pytest.raises(ValueError, match="--filler: expected NAME") as caught:
        split_fillers([text])
    assert repr(text) in str(caught.value)


def test_one_filler_in_several_settings_is_called_by_what_differs():
    names, settings = split_fillers(["blur@sigma=5,levels=3", "blur@levels=3", "gray@color=1,1,1"])
    assert names == ("blur@sigma=5", "blur", "gray")
    assert settings == {
        "blur@sigma=5": {"sigma": "5", "levels": "3"},
        "blur": {"levels": "3"},
        "gray": {"color": "1,1,1"},
    }
    texts = ["lama:a/big.pt@dilation=2", "lama:b/small.pt@dilation=2"]
    assert list(names_of(texts).values()) == ["lama@checkpoint=big.pt", "lama@checkpoint=small.pt"]
    assert {kind_of(name) for name in names_of(texts).values()} == set(kinds_of(texts)) == {"lama"}


def test_names_that_could_not_be_told_apart_are_refused():
    with pytest.raises(ValueError, match=r"lama:a/net\.pt and lama:b/net\.pt would both be called lama@ch"):
        names_of(["lama:a/net.pt", "lama:b/net.pt"])
    assert len(set(names_of(["sd@prompt=a street", "sd@prompt=a.street", "sd"]).values())) == 3


_WORD = st.text("abcxyz_", min_size=1, max_size=6)
_VALUE = st.text(st.characters(codec="ascii", exclude_characters="@=,"), min_size=1, max_size=8).filter(
    str.strip
)


@given(_WORD, st.none() | _VALUE, st.dictionaries(_WORD, _VALUE, max_size=3))
def test_what_is_put_together_is_taken_apart(name, checkpoint, fields):
    text = name + (f":{checkpoint}" if checkpoint else "")
    text += "@" * bool(fields) + ",".join(f"{key}={value}" for key, value in fields.items())
    given = [("checkpoint", checkpoint)] * bool(checkpoint) + list(fields.items())
    assert split_fillers([text]) == ((name,), {name: dict(given)} if given else {})


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from("123"), max_size=3), min_size=1
    )
)
def test_names_differ_where_settings_do(settings):
    texts = [
        "x" + "@" * bool(each) + ",".join(f"{key}={value}" for key, value in each.items())
        for each in settings
    ]
    names = names_of(texts)
    for one, its in zip(texts, settings, strict=True):
        for other, others in zip(texts, settings, strict=True):
            assert (names[one] == names[other]) == (its == others)
    _, found = split_fillers(texts)
    assert all(found.get(names[text], {}) == its for text, its in zip(texts, settings, strict=True))


@given(
    st.text(min_size=1, max_size=200).filter(lambda text: "@" not in text and not re.search(r",\w+=", text))
)
def test_a_name_can_be_a_files(value):
    name = names_of([f"sd@prompt={value},negative_prompt=x{value}", "sd"])[
        f"sd@prompt={value},negative_prompt=x{value}"
    ]
    assert len(name.encode()) <= 120
    assert not set(name) & set('/\\:*?"<>|\n\0')
    assert "--" not in name


def test_a_shortened_name_ends_in_no_joint():
    assert "--" not in "".join(names_of(["lama:" + "a" * 83 + "-bbbbbbbbbbbb.pt", "lama"]).values())


def test_long_names_that_begin_alike_differ():
    texts = [f"sd@prompt={'a long street ' * 20}{end}" for end in ("at night", "at noon")]
    names = list(names_of([*texts, "sd"]).values())
    assert len(set(names)) == 3
    assert names[0][:100] == names[1][:100]


def test_names_that_some_systems_do_not_tell_apart_are_refused():
    with pytest.raises(ValueError, match="would both be called"):
        names_of(["sd@prompt=A cat", "sd@prompt=a cat", "sd"])
    assert list(names_of(["gray", "Gray"]).values()) == ["gray", "Gray"]  # one's own filler may be called so
