import pytest
from pydantic import ValidationError

from histo.errors import PanelError
from histo.panel import load_panel, panel_names, read_panel

HEAD = 'name = "mine"\ntitle = "Mine"\nkind = "brightfield"\nstains = "h-dab"\n'
MARKER = (
    '[[markers]]\nname = "cd8"\nplane = "dab"\ncompartment = "cell"\nthresholds = [0.1, 0.2, 0.3]\n'
)
CHANNELS = (
    'name = "mine"\ntitle = "Mine"\nkind = "channels"\nnuclear_channel = "dapi"\n'
    '[[channels]]\nname = "dapi"\n'
)


def test_the_built_in_panels():
    assert set(panel_names()) == {
        "foxp3-dab",
        "rankl-dab",
        "foxp3-dab+rankl-red",
        "foxp3-rankl-if",
        "he",
        "lung-he",
        "nuclei-if",
    }
    for name in panel_names():
        panel = load_panel(name)
        assert panel.name == name
        assert panel.title
        for pair in panel.attribution:
            assert {pair.source, pair.signal} <= set(panel.marker_names)


def test_a_panel_of_the_user(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + MARKER)
    panel = load_panel(path)
    assert panel.measurement(panel.marker("cd8")) == "cell_dab_od_mean"
    assert load_panel(str(path)) == panel


def test_panels_are_frozen_and_survive_json():
    for name in panel_names():
        panel = load_panel(name)
        assert type(panel).model_validate_json(panel.model_dump_json()) == panel
        with pytest.raises(ValidationError):
            panel.title = "x"


def test_an_unknown_panel_lists_the_known(tmp_path):
    for name in ("foxp3", tmp_path, "nowhere.toml"):
        with pytest.raises(PanelError, match=r"foxp3-dab, .*path to a TOML file works too"):
            load_panel(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = = 1", "not a valid TOML file"),
        (HEAD + 'stain = "he"', 'unknown key "stain"; allowed keys are .*stains'),
        (HEAD + MARKER + "treshold = 1", r'"treshold" in markers\[0\] \("cd8"\); .*thresholds'),
        (HEAD + MARKER + "[markers.size]\nmax = 3", r'"max" in .*size; .*max_diameter_um'),
        (HEAD + MARKER.replace('"cell"', '"nuc"'), 'is "nuc"; allowed .*"nucleus", "cytoplasm"'),
        (HEAD + MARKER + 'rejects = ["big"]', 'rejects is "big"; allowed .*"small_nucleus"'),
        (HEAD + MARKER.replace("0.1, 0.2, 0.3", "0.3, 0.2, 0.1"), "the numbers must ascend"),
        (HEAD + MARKER.replace("0.1, 0.2, 0.3", "0.3, 0.4"), "number 3 in .*thresholds is missing"),
        (HEAD + MARKER.replace("0.1, 0.2, 0.3", "-1, 0.2, 0.3"), "is -1.*greater than 0"),
        (HEAD + MARKER.replace("0.1, 0.2, 0.3", "0.1, 0.2, nan"), "finite"),
        (HEAD + MARKER.replace("[0.1, 0.2, 0.3]", "0.1"), "is 0.1: input should be a list"),
        (HEAD + MARKER.replace('"cd8"', '"CD8"'), 'is "CD8": a name is lower-case'),
        (HEAD + MARKER.partition("thresholds")[0], "thresholds must be given unless"),
        (HEAD + MARKER + MARKER, "two markers have the same name"),
        (HEAD + MARKER + "[markers.size]\nmin_diameter_um = 11", "min_diameter_um < usual"),
        (HEAD + '[[attribution]]\nsource = "a"\nsignal = "b"', 'names the marker "a", but'),
        (HEAD.replace("brightfield", "bright"), 'is "bright"; allowed .*"brightfield", "channels"'),
        (HEAD.replace('stains = "h-dab"', ""), "needs stains"),
        (HEAD.replace('title = "Mine"', ""), 'the key "title" is missing'),
        (HEAD + '[[channels]]\nname = "dapi"', "channels .* are for kind"),
        (CHANNELS.replace('= "dapi"\n[', '= "x"\n['), "nuclear_channel must name one of the"),
        (CHANNELS + MARKER, 'marker "cd8" is in plane "dab", but the channels are dapi'),
        (CHANNELS.replace("nuclear", 'stains = "he"\nnuclear'), "stains and regions are for kind"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, message):
    with pytest.raises(PanelError, match=message) as caught:
        read_panel(text, "mine.toml")
    said = str(caught.value)
    assert said.startswith("mine.toml: ")
    assert said.endswith(".")
    assert "\n" not in said


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "panel.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PanelError, match="cannot be read as a panel"):
        load_panel(path)


def test_a_brightfield_panel_needs_its_stains():
    panel = load_panel("foxp3-dab")
    panel.check_planes(("hematoxylin", "dab"))
    with pytest.raises(PanelError, match='"foxp3" is looked for in "dab", but the stains are'):
        panel.check_planes(("hematoxylin", "eosin"))
    with pytest.raises(PanelError, match='no marker "cd8"; it has foxp3'):
        panel.marker("cd8")
