"""Tables as spreadsheets write them."""

import pytest

from histo.errors import AnnotationError
from histo.results.spreadsheet import plain_name, read_spreadsheet


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), ("\t", ",")])
def test_what_excel_writes(tmp_path, separator, decimal, encoding):
    lines = [["slide", "Größe (µm)"], ["Lunge ä", "1"], ["", ""], ["b", ""]]
    text = "\r\n".join(separator.join(cells) for cells in lines)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    table, mark = read_spreadsheet(tmp_path / "t.csv")
    assert mark == decimal
    assert table.to_dict("list") == {"slide": ["Lunge ä", "b"], "Größe (µm)": ["1", ""]}
    assert table.index.tolist() == [2, 4]


def test_quotes_and_short_rows(tmp_path):
    (tmp_path / "t.csv").write_text('slide,animal\n"a, left",m1\nb\n')
    table, _ = read_spreadsheet(tmp_path / "t.csv")
    assert table.to_numpy().tolist() == [["a, left", "m1"], ["b", ""]]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a,b\n1,2,3\n4,5,6\n", b"a,b\n1,2\n1,2,3\n", b"\xe4;b"]
)
def test_what_is_no_table_is_one_sentence(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(AnnotationError, match=r"^t\.csv: cannot be read as a table \(.+\); "):
        read_spreadsheet(tmp_path / "t.csv")


def test_names_of_columns_in_one_form():
    assert {plain_name(name) for name in ("x_um", "X (µm)", " x µm", "X μm")} == {"x_um"}
