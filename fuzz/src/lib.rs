//! What must hold whatever the bytes are. The fuzz targets look for bytes for which it does not;
//! `tests/properties.rs` holds it against the seeds and random changes of them at each `cargo test`.

mod delivery;
mod framer;
mod object;
mod records;

pub use framer::framer;
pub use object::object;
pub use records::records;
