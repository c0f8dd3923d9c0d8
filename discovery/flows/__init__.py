"""The columnar side: schemas, orientation, identity, the lake and the rollup."""
