"""CTBMDLib: areal bone mineral density from an unenhanced abdominal CT.

Research use only; not a medical device. Plain Python: no Slicer, no Qt, and
torch only inside functions that can do without it.
"""

from .disclaimers import RESEARCH_USE

__all__ = ["RESEARCH_USE", "__version__"]

__version__ = "2.3.2"
