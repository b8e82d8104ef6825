//! Software: the agent's package, where none is baked in.
//!
//! May import: its siblings, ports. Invariant: what is unpacked has the hash that
//! the server names.

use super::{board::Board, folder::Folder};

/// Where the software comes from.
#[derive(Debug)]
pub struct Software {}

impl Software {
    pub(super) async fn fetch(&self, folder: &Folder, _board: &Board) -> Result<(), String> {
        Err(format!("no config.sh in {}", folder.root().display()))
    }
}
