module github.com/nnrt/nnrt/devices/cpu/internal/kern/_asm

go 1.26.0
