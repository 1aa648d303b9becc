"""Everything that a plug-in imports: contracts, contexts, frames, metrics, values and errors.

``.github/CONTRIBUTING.md`` shows a collector, a processor and a storage.
"""

from service.kit.errors import Permanent, Problem, Transient
from service.steps.collector import Collector, Declared, Id, Parent, Upstream
from service.steps.context import CollectContext, Context, ProcessContext, State, StorageContext, StoredVersion
from service.steps.frame import Explain, Frame, JoinHow, Keep, RowLocal
from service.steps.metric import Kind, Metric, Values
from service.steps.processor import Processor
from service.steps.report import CollectReport, Evidence, ProcessReport, Rejected, Split, StepReport, StepWarning
from service.steps.storage import Dataset, File, Storage, Written
from service.values.profile import ColumnProfile, Correlation, Histogram, Profile, ProfileWarning, TopValue

__all__ = [
    "CollectContext", "CollectReport", "Collector", "ColumnProfile", "Context", "Correlation", "Dataset",
    "Declared", "Evidence", "Explain", "File", "Frame", "Histogram", "Id", "JoinHow", "Keep", "Kind", "Metric",
    "Parent", "Permanent", "Problem", "ProcessContext", "ProcessReport", "Processor", "Profile", "ProfileWarning",
    "Rejected", "RowLocal", "Split", "State", "StepReport", "StepWarning", "Storage", "StorageContext", "StoredVersion",
    "TopValue", "Transient", "Upstream", "Values", "Written",
]  # fmt: skip
