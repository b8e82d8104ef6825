//! What a job's worker wrote, line by line.
//!
//! May import: the pool's own parts. Invariant: neither a job nor all jobs of a
//! pool keep more than their bound; what was dropped is told.

use std::collections::VecDeque;

use super::{Refusal, pool::Pool};
use crate::domain::job::RequestId;

/// The lines that are kept of a job …
pub const MAX_LINES: usize = 10_000;
/// … and their bytes.
pub const MAX_OUTPUT: usize = 1 << 20;
/// The bytes that are kept of all jobs of a pool.
const MAX_POOL_OUTPUT: usize = 64 << 20;
/// What is kept of the worker's own word on the result.
const MAX_WORD: usize = 64;
/// What a line takes beside its text.
const LINE: usize = 24;

/// A job's output.
#[derive(Debug, Default)]
pub(in crate::emulator) struct Output {
    lines: VecDeque<Box<str>>,
    bytes: usize,
    dropped: u64,
    /// What the worker itself said of the result.
    pub(in crate::emulator) completed: Option<Box<str>>,
}

// === impl Output ===

impl Output {
    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Everything that is kept, with a mark where something is not.
    pub(in crate::emulator) fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes);
        if self.dropped > 0 {
            text = format!("[{} earlier lines were dropped]\n", self.dropped);
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn append(&mut self, lines: impl IntoIterator<Item = Box<str>>) {
        for line in lines {
            self.bytes += line.len() + LINE;
            self.lines.push_back(line);
            while self.lines.len() > MAX_LINES || self.bytes > MAX_OUTPUT {
                self.drop_oldest();
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.len() + LINE;
            self.dropped += 1;
        }
    }

    fn clear(&mut self) {
        self.dropped += self.lines.len() as u64;
        (self.lines, self.bytes) = (VecDeque::new(), 0);
    }
}

// === impl Pool ===

impl Pool {
    /// The worker wrote these lines. One that writes after its job's end is read too.
    pub(in crate::emulator) fn append_output(
        &mut self,
        id: RequestId,
        lines: impl IntoIterator<Item = Box<str>>,
    ) -> Result<(), Refusal> {
        let output = self.output_mut(id)?;
        let before = output.bytes;
        output.append(lines);
        let after = output.bytes;
        self.output_bytes = self.output_bytes + after - before;
        if self.output_bytes > MAX_POOL_OUTPUT {
            self.drop_output(id);
        }
        Ok(())
    }

    /// The worker's own word on what came of the job.
    pub(in crate::emulator) fn complete_output(
        &mut self,
        id: RequestId,
        result: &str,
    ) -> Result<(), Refusal> {
        let word = result.chars().take(MAX_WORD).collect();
        self.output_mut(id)?.completed = Some(word);
        Ok(())
    }

    fn output_mut(&mut self, id: RequestId) -> Result<&mut Output, Refusal> {
        let missing = self.no_job(id);
        let unfinished = self.unfinished.get_mut(&id);
        let job = unfinished.or_else(|| self.finished.iter_mut().rfind(|job| job.id == id));
        job.map(|job| &mut job.output).ok_or(missing)
    }

    /// Half of the bound is freed at once, so that the search is rare; those
    /// that ended first go first, and the one that is written to stays.
    fn drop_output(&mut self, keep: RequestId) {
        let finished = self.finished.iter_mut();
        for job in finished.chain(self.unfinished.values_mut()) {
            if self.output_bytes <= MAX_POOL_OUTPUT / 2 {
                return;
            }
            if job.id != keep {
                self.output_bytes -= job.output.bytes;
                job.output.clear();
            }
        }
    }
}
