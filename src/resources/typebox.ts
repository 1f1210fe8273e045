//! The schema builder of all kinds. Its library is 700 files, which took half of the time to start:
//! the build makes one of them and what it needs, in this module's place.

import Type from "typebox";

export default Type;
