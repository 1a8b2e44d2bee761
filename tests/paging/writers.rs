//! Writers that change what is listed while it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use http::Method;
use tokio::task::JoinHandle;

use crate::front::json_body;
use crate::kinds::Kind;
use crate::world::World;

/// Writers at work.
pub(crate) struct Writers {
    done: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

/// One after the other, each with objects of its own.
const WRITERS: usize = 2;

impl Writers {
    /// Starts them.
    pub(crate) fn start(world: &Arc<World>, kind: &'static Kind) -> Self {
        let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..WRITERS).map(|writer| {
            let (world, done, written) =
                (Arc::clone(world), Arc::clone(&done), Arc::clone(&written));
            tokio::spawn(async move {
                let mut step = writer;
                while !done.load(Ordering::SeqCst) {
                    write(&world, kind, step).await?;
                    written.fetch_add(1, Ordering::SeqCst);
                    step += WRITERS;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            })
        });
        let tasks = tasks.collect();
        Self { done, written, tasks }
    }

    /// Ends them; how much they wrote.
    pub(crate) async fn stop(self) -> Result<usize> {
        self.done.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await??;
        }
        Ok(self.written.load(Ordering::SeqCst))
    }
}

/// The write with this number: an object comes, goes, or is changed, some of them many times.
pub(crate) async fn write(world: &World, kind: &Kind, step: usize) -> Result<()> {
    // Two in four steps change one of the first objects, of which every fifth is changed often.
    let number = if step.is_multiple_of(3) { 5 } else { step * 7 % kind.count };
    let (path, name) = kind.place(number);
    let client = &world.direct;
    let answer = match step % 4 {
        0 | 1 => {
            let patch = format!(r#"{{"metadata":{{"annotations":{{"step":"{step}"}}}}}}"#);
            let request = client.request(Method::PATCH, &format!("{path}/{name}"));
            let request = request.header("content-type", "application/merge-patch+json");
            request.body(patch).send().await?
        }
        2 => {
            let object = kind.named(&format!("{name}-{step}"));
            json_body(client.request(Method::POST, &path), &object).send().await?
        }
        // Each deletes what the step before it created, with either number of writers.
        _ => {
            let created = step - 1;
            let number = if created.is_multiple_of(3) { 5 } else { created * 7 % kind.count };
            let (path, name) = kind.place(number);
            let target = format!("{path}/{name}-{created}?gracePeriodSeconds=0");
            client.request(Method::DELETE, &target).send().await?
        }
    };
    // The object may not be there yet: another writer creates it.
    let missing = step % 4 == 3 && answer.status == http::StatusCode::NOT_FOUND;
    ensure!(answer.status.is_success() || missing, "{path}: {answer:?}");
    Ok(())
}
