"""The glue between the torch modules and thinc: shims, converters, native layers."""
