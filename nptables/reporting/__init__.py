"""Pages to look at: the report of a cluster, a matrix, a graph. The only package with templates."""

from nptables.reporting.audit import Audit, audit_of
from nptables.reporting.pages import audit_page, graph_page, matrix_page, report_page

__all__ = ["Audit", "audit_of", "audit_page", "graph_page", "matrix_page", "report_page"]
