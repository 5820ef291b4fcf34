//! What this library asks of the allocator.

use std::cell::Cell;
use std::hint::black_box;

/// Has the allocator keep what a job frees for the next one of this thread, instead of giving pages back that
/// it gets again zeroed: that costs a tenth of a job.
///
/// glibc learns it from the largest block that it has mapped and freed (`M_MMAP_THRESHOLD` in mallopt(3)): up to
/// twice as much stays at the end of a thread's heap. That end is stretched once, so that a decoded photo of a
/// phone has room there. Nothing of it is touched here; other allocators take no notice.
pub(crate) fn keep_freed_memory() {
    thread_local! {
        static IS_ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_ASKED.replace(true) {
        drop(block_of(31));
        let end_of_heap = [block_of(20), block_of(20)];
        drop(end_of_heap);
    }
}

fn block_of(mebibytes: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(mebibytes << 20))
}
