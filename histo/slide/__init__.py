"""Slides: open a file, read any region at any pixel size.

``open_slide`` takes TIFF in its kinds (BigTIFF, OME-TIFF, SVS, QPTIFF, ImageJ), the scanner
formats of OpenSlide (NDPI, MRXS, VMS, SCN, BIF, DICOM), OME-Zarr, PNG and JPEG.
"""

from histo.slide.opening import open_slide
from histo.slide.pixel_size import PixelSize
from histo.slide.slide import Level, Slide, slide_name

__all__ = ["Level", "PixelSize", "Slide", "open_slide", "slide_name"]
