//! stub
use crate::config::DemoConfig;
pub(super) async fn demo(_c: DemoConfig) -> anyhow::Result<()> {
    Ok(())
}
