//! stub
use crate::error::Result;
pub struct CpuExecutor;
impl CpuExecutor {
    pub fn new() -> Result<Self> {
        Ok(CpuExecutor)
    }
}
impl crate::executor::Executor for CpuExecutor {
    fn name(&self) -> String {
        "cpu".into()
    }
    fn caps(&self) -> crate::executor::Caps {
        crate::executor::Caps {
            max_args: 24,
            max_insts: 96,
            max_binding: u64::MAX,
            arena: true,
            alignment: 64,
            free_strides: true,
        }
    }
    fn scratch(&self, _: &crate::plan::Kernel) -> u64 {
        0
    }
    fn alloc(&self, _: u64) -> Result<crate::executor::Buffer> {
        Err(crate::Error::device("stub"))
    }
    fn compile<'a>(
        &'a self,
        _: &'a crate::plan::Plan,
    ) -> crate::executor::BoxFuture<'a, Result<crate::executor::Compiled>> {
        Box::pin(std::future::ready(Err(crate::Error::device("stub"))))
    }
    fn run(&self, _: &crate::executor::Compiled, _: &[crate::executor::Bound], _: &[u32]) -> Result<()> {
        Ok(())
    }
    fn write(&self, _: &crate::executor::Buffer, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn read<'a>(
        &'a self,
        _: &'a crate::executor::Buffer,
        _: std::ops::Range<u64>,
    ) -> crate::executor::BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(std::future::ready(Ok(vec![])))
    }
}
