"""Other people's explainers as generators: their masks become subgraphs, which are verified.

mask_to_subgraphs.py   from a soft mask to candidates; every explainer here ends with it
pyg_explainers.py      any explainer of PyG: gnnexplainer, graphmask, attention, sa, and registered ones
captum.py              attribution methods of Captum, a package of its own
pgm.py                 PGM-Explainer; needs pgmpy, a package of its own
cf2.py                 one mask that is factual and counterfactual
pgexplainer.py         an attributor that was pre-trained for all classes at once
"""
