// What the page says, in both languages. A key is an element's data-word, or a message.

import { WORDS as PAD } from "./pad.js";

export const WORDS = {
  en: {
    ...PAD.en,
    title: "LeNet reads your digit",
    intro: "Draw a digit from 0 to 9. A small neural network reads it while you draw, here in your browser: nothing leaves this page.",
    keys: "Keys: Ctrl+Z undoes. On the pad, arrow keys move the pen, the space bar puts it down or lifts it, U undoes, C or Escape clears. Photos can be dropped or pasted.",
    waiting: "Loading the network…",
    blank: "There is no ink in this picture.",
    sawNote: "Found, scaled to 20 pixels and centred by its mass, as MNIST's makers did.",
    conv1: "First layer: 20 feature maps",
    conv1Note: "Each looks for a pattern of 5 × 5 pixels.",
    conv2: "Second layer: 50 feature maps",
    conv2Note: "Each looks for a pattern of those.",
    found: "the pattern",
    nothing: "nothing like it",
    missing: "The network's file, digit.onnx, is not beside this page. Build the page again, or copy the file here.",
    damaged: "The network's file, digit.onnx, is damaged. Copy it here again.",
    engine: "ONNX Runtime, which runs the network, does not start: it needs a browser with WebAssembly, and its two ort-wasm files beside this page.",
    credit: "LeNet after the deeplearning.net tutorial, trained on MNIST with Keras, run by ONNX Runtime.",
  },
  zh: {
    ...PAD.zh,
    title: "LeNet 手写数字识别",
    intro: "请写一个 0 到 9 的数字，小小的神经网络会边看边认。一切都在你的浏览器里进行，什么都不会离开本页。",
    keys: "快捷键：Ctrl+Z 撤销。选中手写板后，方向键移动画笔，空格键落笔或提笔，U 撤销，C 或 Esc 清空。照片也可以拖进来，或者直接粘贴。",
    waiting: "正在加载神经网络……",
    blank: "这张图片里没有笔迹。",
    sawNote: "找到笔迹，缩放到 20 像素，再按重心居中，做法与 MNIST 相同。",
    conv1: "第一层：20 个特征图",
    conv1Note: "各找一种 5 × 5 像素的图案。",
    conv2: "第二层：50 个特征图",
    conv2Note: "各找一种由上述图案组成的图案。",
    found: "找到图案",
    nothing: "没有",
    missing: "本页旁边没有神经网络文件 digit.onnx。请重新构建本页，或把该文件复制到这里。",
    damaged: "神经网络文件 digit.onnx 已损坏，请重新复制一份。",
    engine: "运行神经网络的 ONNX Runtime 无法启动：浏览器要支持 WebAssembly，本页旁边还要有两个 ort-wasm 文件。",
    credit: "LeNet 依照 deeplearning.net 教程，用 Keras 在 MNIST 上训练，由 ONNX Runtime 运行。",
  },
};
