"""Reading MATLAB files: those of version 5 to 7 with SciPy, those of version 7.3, which are HDF5, with h5py.

MATLAB stores columns first: in HDF5 every array lies there transposed. A cell array is a list of references to other arrays,
a text is an array of UTF-16 numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import scipy.io

from aura.errors import DataError


def read_whole_numbers(path: Path, variable: str) -> npt.NDArray[np.int64]:
    """An array of whole numbers, also where MATLAB holds them as `double`, which is its default.

    Raises:
        DataError: no such file or variable, or it holds something else.
    """
    values = np.asarray(_read(path, variable))
    if not np.issubdtype(values.dtype, np.number) or np.issubdtype(values.dtype, np.complexfloating):
        raise DataError(f"{variable} in {path.name} holds no numbers")
    whole = np.round(values) if np.issubdtype(values.dtype, np.floating) else values
    # Infinity equals itself rounded; the comparison with NaN is false.
    if not (np.isfinite(values).all() and (whole == values).all() and (np.abs(whole) < 2**53).all()):
        raise DataError(f"{variable} in {path.name} holds fractions, or numbers that are too large")
    return whole.astype(np.int64)


def read_texts(path: Path, variable: str) -> tuple[str, ...]:
    """The texts of a cell array.

    Raises:
        DataError: no such file or variable, or it holds something else.
    """
    try:
        return tuple(str(cell[0]) for cell in np.asarray(_read(path, variable)).ravel())
    except (IndexError, TypeError) as error:
        raise DataError(f"{variable} in {path.name} is no cell array of texts") from error


def _read(path: Path, variable: str) -> Any:
    try:
        try:
            return scipy.io.loadmat(path, variable_names=[variable])[variable]
        except NotImplementedError:  # version 7.3
            with h5py.File(path, "r") as file:
                return _from_hdf5(file, file[variable])
    except Exception as error:  # both libraries raise many kinds of errors for a damaged file
        raise DataError(f"{path.name} has no readable {variable} in MATLAB's format ({error})") from error


def _from_hdf5(file: h5py.File, data: h5py.Dataset) -> Any:
    values = data[()]
    if values.dtype != h5py.ref_dtype:
        return values.T
    # As SciPy gives it: an array of arrays, each of which holds one text.
    cells = np.empty(values.size, dtype=object)
    for number, reference in enumerate(values.T.ravel()):
        cells[number] = [file[reference][()].astype("<u2").tobytes().decode("utf-16-le")]
    return cells
