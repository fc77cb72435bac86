"""Real series in the public domain, from the files that statsmodels ships, in original units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType

import numpy as np
import pandas as pd

from qlstm_qiskit.data.scaler import Floats


@dataclass(frozen=True)
class RealSeries:
    """What a real series is.

    Attributes:
        title, unit, frequency: What was measured, in which unit, and how often.
        season: Rows in a season or cycle; 1 where there is none.
        rows: How many there are.
        source, licence: In the words of statsmodels' SOURCE and COPYRIGHT.
        read: Gives the values, (rows,), in time order.
    """

    title: str
    unit: str
    frequency: str
    season: int
    rows: int
    source: str
    licence: str
    read: Callable[[], Floats] = field(repr=False)


def sunspots() -> Floats:
    """Yearly mean sunspot numbers, 1700 to 2008, (309,)."""
    return _floats(_table("sunspots")["SUNACTIVITY"])


def nile() -> Floats:
    """Yearly flow of the Nile at Aswan in 10^8 m^3, 1871 to 1970, (100,)."""
    return _floats(_table("nile")["volume"])


def elnino() -> Floats:
    """Monthly sea surface temperature in degrees Celsius, 1950 to 2010, (732,): the table's years one after another."""
    return _floats(_table("elnino").drop(columns="YEAR")).ravel()


def co2() -> Floats:
    """Monthly CO2 at Mauna Loa in ppmv, March 1958 to December 2001, (526,); see `monthly_means`."""
    return _floats(monthly_means(_table("co2")["co2"]))


def monthly_means(weekly: pd.Series) -> pd.Series:
    """Means over the months of a series indexed by date, whose gaps are NaN.

    A month without an observation is given the last one's mean before it, so that no value tells of a later one.
    """
    return weekly.resample("MS").mean().ffill()


def _table(name: str) -> pd.DataFrame:
    """A data set of statsmodels, which is imported when one is asked for."""
    return import_module(f"statsmodels.datasets.{name}").load_pandas().data


def _floats(values: pd.Series | pd.DataFrame) -> Floats:
    return np.array(values, dtype=np.float64)


#: Name -> what the series is. All of them predict themselves.
REAL_SERIES: Mapping[str, RealSeries] = MappingProxyType(
    {
        "sunspots": RealSeries(
            title="mean sunspot number, 1700 to 2008",
            unit="sunspots",
            frequency="yearly",
            season=11,
            rows=309,
            source="http://www.ngdc.noaa.gov/stp/solar/solarda3.html",
            licence="This data is public domain.",
            read=sunspots,
        ),
        "nile": RealSeries(
            title="flow of the Nile at Aswan, 1871 to 1970",
            unit="10^8 m^3",
            frequency="yearly",
            season=1,
            rows=100,
            source=(
                'Cobb, G. W. 1978. "The Problem of the Nile: Conditional Solution to a Changepoint Problem." '
                "*Biometrika*. 65.2, 243-51."
            ),
            licence="This is public domain.",
            read=nile,
        ),
        "elnino": RealSeries(
            title="sea surface temperature of the Pacific (Nino 1+2), 1950 to 2010",
            unit="degrees Celsius",
            frequency="monthly",
            season=12,
            rows=732,
            source=(
                "National Oceanic and Atmospheric Administration's National Weather Service "
                "ERSST.V3B dataset, Nino 1+2 http://www.cpc.ncep.noaa.gov/data/indices/"
            ),
            licence="This data is in the public domain.",
            read=elnino,
        ),
        "co2": RealSeries(
            title="atmospheric CO2 at Mauna Loa, March 1958 to December 2001",
            unit="ppmv",
            frequency="monthly means of weekly values",
            season=12,
            rows=526,
            source=(
                "Keeling, C.D. and T.P. Whorf. 2004. Atmospheric CO2 concentrations derived from flask air samples at sites in "
                "the SIO network. In Trends: A Compendium of Data on Global Change. Carbon Dioxide Information Analysis "
                "Center, Oak Ridge National Laboratory, U.S. Department of Energy, Oak Ridge, Tennessee, U.S.A."
            ),
            licence="This is public domain.",
            read=co2,
        ),
    }
)
