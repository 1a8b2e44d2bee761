//! What happens to the gateway during a long run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use crate::course::Course;
use crate::seeded::Seeded;

/// Cuts, refuses and pauses the way upstream, and restarts the gateway, until the time is over; the last seconds are quiet.
pub(crate) async fn during(course: &Arc<Course>, time: Duration) -> Result<()> {
    let deadline = Instant::now() + time;
    let quiet = Duration::from_secs(20);
    let mut random = Seeded::new(0xd157);
    let (mut cuts, mut restarts) = (0, 0);
    let mut turn = 0;
    while Instant::now() + quiet < deadline {
        sleep(Duration::from_secs(8 + random.below(8) as u64)).await;
        turn += 1;
        let ground = &course.ground;
        match turn % 6 {
            0 => {
                ground.restart_gateway().await?;
                restarts += 1;
                continue;
            }
            1 => {
                ground.cutter.refuse().await;
                sleep(Duration::from_millis(1_500)).await;
                ground.cutter.resume().await?;
            }
            2 => {
                ground.cutter.pause();
                sleep(Duration::from_secs(3)).await;
                ground.cutter.resume().await?;
            }
            _ => ground.cutter.cut(),
        }
        cuts += 1;
    }
    eprintln!(
        "the way upstream was disturbed {cuts} times, the gateway restarted {restarts} times"
    );
    tokio::time::sleep_until(deadline).await;
    Ok(())
}
