/** Size of the engine's WebAssembly file for the CPU, set by the build. */
declare const __CPU_WASM_BYTES__: number;
/** Size of the engine's WebAssembly file for the GPU, set by the build. */
declare const __GPU_WASM_BYTES__: number;
