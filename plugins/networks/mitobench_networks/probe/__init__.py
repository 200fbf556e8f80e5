"""The verifier family `probe:MODEL`: logistic regression on the embeddings of a frozen encoder."""
