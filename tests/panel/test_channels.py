import pytest

from histo.errors import PanelError
from histo.panel import Channel, load_panel
from histo.panel.channels import match_channels


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["DAPI", "FOXP3", "RANKL"], (0, 1, 2)),
        (["RANK-L AF647", "dapi", "FoxP3 (Opal 570)"], (1, 2, 0)),
        (["Autofluorescence", "Hoechst 33342", "TNFSF11", "fox p3"], (1, 3, 2)),
        (["DAPI", "Foxp3-AF488", "foxp3", "Rank Ligand"], (0, 2, 3)),
    ],
)
def test_names_as_slides_write_them(names, found):
    assert load_panel("foxp3-rankl-if").resolve_channels(names) == found


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["DAPI", "CD8", "RANKL"], "no channel that could be foxp3 .*0: DAPI, 1: CD8, 2: RANKL"),
        (["DAPI", "foxp3 a", "foxp3 b", "RANKL"], "more than one channel that could be foxp3"),
        ([], "its channels are none"),
        (["DAPI", "FOXP3", "RANK"], "no channel that could be rankl"),
    ],
)
def test_what_does_not_fit_is_named(names, message):
    with pytest.raises(PanelError, match=message):
        load_panel("foxp3-rankl-if").resolve_channels(names)


def test_one_channel_fits_one_channel():
    assert load_panel("nuclei-if").resolve_channels(["Channel:0"]) == (0,)
    with pytest.raises(PanelError, match="no channel that could be dapi"):
        load_panel("nuclei-if").resolve_channels(["C0", "C1"])


def test_an_index_needs_no_name():
    pair = [Channel(name="dapi", index=1), Channel(name="foxp3", index=0)]
    assert match_channels("mine", pair, ["a", "b"]) == (1, 0)
    with pytest.raises(PanelError, match="wants channel 1 as dapi"):
        match_channels("mine", pair, ["a"])
    with pytest.raises(PanelError, match="takes one channel of the slide for two"):
        match_channels("mine", [Channel(name="a", index=0), Channel(name="b", index=0)], ["x"])
