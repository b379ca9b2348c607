/** The extension's words. `{…}` are filled in; numbers and names stay as they are. */

const en = {
  loading: 'Reading the file …',
  unreadable: 'This file cannot be read.',
  blocks: '{count} blocks × {tokens} tokens, {placement}',
  shared: '{tokens} tokens, shared by the {layers} blocks',
  placement: {
    prepend: 'before the text',
    append: 'after the text',
    after_bos: 'after the first token',
    front_of_padding: 'on the padding',
    end_of_sequence: 'at the end'
  },
  timed: '{count} time steps',
  untimed: 'the same at every step',
  banks: 'with a negative bank',
  parameters: '{count} parameters',
  trained: 'trained with {objective}',
  on: 'on {model}',
  steps: '{count} steps',
  pairs: '{count} pictures',
  unstated: 'The file does not say how it was trained.',
  misfit: 'This adapter is for {adapter}. {file} is {model}.',
  layers: 'blocks',
  all: 'all',
  allHint: 'All blocks it was trained for',
  blockHint: 'Click: on or off. Drag: several. Double click: this one alone.',
  noAdapter: 'Connect an adapter to choose its blocks.',
  noBlock: '“{item}” is not among the blocks.',
  linked: 'Set by the connected node.',
  strength: 'strength',
  schedule: 'strength over the sampling',
  whole: '{strength} all the way',
  part: '{strength} from {start} to {end} %',
  point: '{strength} at {share} %',
  scheduled: '× schedule',
  noCurve: 'These keyframes are not a curve.',
  curveHint: 'Drag a point. Double click: add or remove one.',
  strengthHandle: 'strength',
  startHandle: 'start of the range',
  endHandle: 'end of the range'
}

const ja = {
  loading: 'ファイルを読み込み中…',
  unreadable: 'このファイルは読み込めません。',
  blocks: '{count} ブロック × {tokens} トークン、{placement}',
  shared: '{tokens} トークン、{layers} ブロックで共有',
  placement: {
    prepend: 'テキストの前',
    append: 'テキストの後',
    after_bos: '先頭トークンの後',
    front_of_padding: 'パディング部分',
    end_of_sequence: '末尾'
  },
  timed: '時間区分 {count}',
  untimed: '全ステップ共通',
  banks: 'ネガティブバンクあり',
  parameters: 'パラメータ {count}',
  trained: '学習方式 {objective}',
  on: '学習元 {model}',
  steps: '{count} ステップ',
  pairs: '画像 {count} 枚',
  unstated: '学習方法はファイルに記載されていません。',
  misfit: 'このアダプターは {adapter} 用です。{file} は {model} です。',
  layers: 'ブロック',
  all: 'すべて',
  allHint: '学習されたすべてのブロック',
  blockHint: 'クリック：オン／オフ。ドラッグ：まとめて。ダブルクリック：これだけ。',
  noAdapter: 'アダプターを接続するとブロックを選べます。',
  noBlock: '「{item}」というブロックはありません。',
  linked: '接続されたノードが設定します。',
  strength: '強度',
  schedule: 'サンプリング中の強度',
  whole: '全体で {strength}',
  part: '{start}〜{end} % で {strength}',
  point: '{share} % で {strength}',
  scheduled: '× スケジュール',
  noCurve: 'キーフレームを曲線として読めません。',
  curveHint: '点をドラッグ。ダブルクリック：追加または削除。',
  strengthHandle: '強度',
  startHandle: '開始位置',
  endHandle: '終了位置'
}

const zh = {
  loading: '正在读取文件…',
  unreadable: '无法读取此文件。',
  blocks: '{count} 个块 × {tokens} 个标记，{placement}',
  shared: '{tokens} 个标记，{layers} 块共用',
  placement: {
    prepend: '位于文本之前',
    append: '位于文本之后',
    after_bos: '位于首个标记之后',
    front_of_padding: '位于填充处',
    end_of_sequence: '位于末尾'
  },
  timed: '{count} 个时间段',
  untimed: '每一步相同',
  banks: '含负向标记组',
  parameters: '{count} 个参数',
  trained: '训练方法 {objective}',
  on: '基于 {model}',
  steps: '{count} 步',
  pairs: '{count} 张图片',
  unstated: '文件未说明训练方式。',
  misfit: '此适配器用于 {adapter}，而 {file} 是 {model}。',
  layers: '块',
  all: '全部',
  allHint: '训练过的全部块',
  blockHint: '单击：开或关。拖动：选择多个。双击：只选这一个。',
  noAdapter: '连接适配器后即可选择块。',
  noBlock: '没有名为“{item}”的块。',
  linked: '由所连接的节点设置。',
  strength: '强度',
  schedule: '采样过程中的强度',
  whole: '全程 {strength}',
  part: '{start}–{end} % 为 {strength}',
  point: '{share} % 处为 {strength}',
  scheduled: '× 调度',
  noCurve: '这些关键帧不是一条曲线。',
  curveHint: '拖动点。双击：添加或删除。',
  strengthHandle: '强度',
  startHandle: '起点',
  endHandle: '终点'
}

const ko = {
  loading: '파일을 읽는 중…',
  unreadable: '이 파일을 읽을 수 없습니다.',
  blocks: '블록 {count}개 × 토큰 {tokens}개, {placement}',
  shared: '토큰 {tokens}개, {layers} 블록이 공유',
  placement: {
    prepend: '텍스트 앞',
    append: '텍스트 뒤',
    after_bos: '첫 토큰 뒤',
    front_of_padding: '패딩 자리',
    end_of_sequence: '끝'
  },
  timed: '시간 구간 {count}개',
  untimed: '모든 스텝에서 동일',
  banks: '네거티브 뱅크 포함',
  parameters: '파라미터 {count}개',
  trained: '학습 방식 {objective}',
  on: '기반 모델 {model}',
  steps: '{count} 스텝',
  pairs: '이미지 {count}장',
  unstated: '파일에 학습 방법이 적혀 있지 않습니다.',
  misfit: '이 어댑터는 {adapter}용입니다. {file}의 모델은 {model}입니다.',
  layers: '블록',
  all: '전체',
  allHint: '학습된 모든 블록',
  blockHint: '클릭: 켜기/끄기. 드래그: 여러 개. 더블 클릭: 이것만.',
  noAdapter: '어댑터를 연결하면 블록을 고를 수 있습니다.',
  noBlock: '“{item}” 블록은 없습니다.',
  linked: '연결된 노드가 정합니다.',
  strength: '강도',
  schedule: '샘플링 중 강도',
  whole: '전체 구간 {strength}',
  part: '{start}–{end} %에서 {strength}',
  point: '{share} %에서 {strength}',
  scheduled: '× 스케줄',
  noCurve: '키프레임을 곡선으로 읽을 수 없습니다.',
  curveHint: '점을 드래그하세요. 더블 클릭: 추가 또는 삭제.',
  strengthHandle: '강도',
  startHandle: '시작 위치',
  endHandle: '끝 위치'
}

const TABLES = { en, ja, zh, ko }

/** A function from key and values to text, in the front-end's language or else in English. */
export function textsFor(locale) {
  const table = TABLES[String(locale ?? '').split('-')[0].toLowerCase()] ?? en
  return (key, values = {}) => {
    const text = key.split('.').reduce((part, name) => part?.[name], table) ?? key
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '')
  }
}
