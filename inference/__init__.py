"""What each model is and how it answers: architectures, pre- and post-processing, loading, retrieval, generation.

Imports only `aura`. No Lightning, Prefect, MLflow, DVC or BentoML: a service or a bare GPU box needs nothing else.
"""
