"""histo in napari: opens slides and result folders; the algorithms stay in ``histo``."""
