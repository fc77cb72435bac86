"""Commands whose results stay the same to the bit, and files of an earlier version that are read and gone on with."""
