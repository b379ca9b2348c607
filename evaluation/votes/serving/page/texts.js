/** The page's words, by language. `{…}` are filled in. A language is one entry here. */

const TEXTS = {
  en: {
    own: 'English',
    title: 'Blind vote',
    task: 'You will see a text and two pictures. Choose the one that shows better what the text says. Which picture comes from where is not shown; sides change at random.',
    name: 'Your name',
    trial: 'Trial',
    language: 'Language',
    begin: 'Begin',
    keys: 'Keys: ← A, → B, ↑ equally good, ↓ both bad, Backspace undo. Or tap.',
    question: 'Which picture fits the text better?',
    left: 'Picture A',
    right: 'Picture B',
    pick_left: 'A is better',
    pick_right: 'B is better',
    tie: 'Equally good',
    both_bad: 'Both bad',
    undo: 'Undo',
    count: '{done} of {goal}',
    beyond: '{done} votes',
    thanks: 'Thank you!',
    reached: 'You have given {done} votes, and all are kept. You may close this page, or vote on.',
    exhausted: 'You have seen every pair. Your {done} votes are kept, and you may close this page.',
    more: 'Vote on',
    loading: 'Loading the pictures …',
    waiting: 'The server does not answer. Votes not yet sent are kept in this browser and sent as soon as it does.',
    gone: 'A picture of this pair is missing. The next pair follows.',
    empty: 'There is no trial to vote on yet.'
  },
  ja: {
    own: '日本語',
    title: 'ブラインド投票',
    task: '文章と2枚の画像が表示されます。文章の内容をよりよく表している方を選んでください。どの画像がどこから来たかは表示されません。左右は毎回ランダムに入れ替わります。',
    name: 'お名前',
    trial: '試験',
    language: '言語',
    begin: '始める',
    keys: 'キー：← A、→ B、↑ 同程度に良い、↓ どちらも悪い、Backspace で取り消し。タップでも選べます。',
    question: '文章に合っているのはどちらの画像ですか？',
    left: '画像 A',
    right: '画像 B',
    pick_left: 'A が良い',
    pick_right: 'B が良い',
    tie: '同程度に良い',
    both_bad: 'どちらも悪い',
    undo: '取り消し',
    count: '{done} / {goal}',
    beyond: '{done} 票',
    thanks: 'ありがとうございました！',
    reached: '{done} 票をいただき、すべて保存しました。このページを閉じても、続けて投票しても構いません。',
    exhausted: 'すべての組をご覧いただきました。{done} 票は保存済みです。このページを閉じて構いません。',
    more: '続けて投票',
    loading: '画像を読み込み中…',
    waiting: 'サーバーが応答しません。未送信の票はこのブラウザーに保存され、つながり次第送信されます。',
    gone: 'この組の画像が見つかりません。次の組に進みます。',
    empty: '投票できる試験はまだありません。'
  },
  zh: {
    own: '简体中文',
    title: '盲投',
    task: '您会看到一段文字和两张图片。请选择更符合文字内容的一张。页面不显示图片的来源，左右位置每次随机。',
    name: '您的名字',
    trial: '试验',
    language: '语言',
    begin: '开始',
    keys: '按键：← A，→ B，↑ 同样好，↓ 都不好，Backspace 撤销。也可以点按。',
    question: '哪张图片更符合文字？',
    left: '图片 A',
    right: '图片 B',
    pick_left: 'A 更好',
    pick_right: 'B 更好',
    tie: '同样好',
    both_bad: '都不好',
    undo: '撤销',
    count: '{done} / {goal}',
    beyond: '{done} 票',
    thanks: '谢谢！',
    reached: '您已投 {done} 票，全部已保存。可以关闭此页面，也可以继续投票。',
    exhausted: '您已看完所有图片对。{done} 票均已保存，可以关闭此页面。',
    more: '继续投票',
    loading: '正在加载图片…',
    waiting: '服务器没有响应。尚未发送的投票保存在此浏览器中，恢复后会立即发送。',
    gone: '这一对中缺少图片，将显示下一对。',
    empty: '目前还没有可以投票的试验。'
  },
  ko: {
    own: '한국어',
    title: '블라인드 투표',
    task: '문장 하나와 그림 두 장이 표시됩니다. 문장의 내용을 더 잘 나타낸 그림을 고르세요. 그림의 출처는 표시되지 않으며 좌우는 매번 무작위로 바뀝니다.',
    name: '이름',
    trial: '시험',
    language: '언어',
    begin: '시작',
    keys: '키: ← A, → B, ↑ 비슷하게 좋음, ↓ 둘 다 나쁨, Backspace 취소. 눌러서 고를 수도 있습니다.',
    question: '어느 그림이 문장에 더 맞습니까?',
    left: '그림 A',
    right: '그림 B',
    pick_left: 'A가 더 좋음',
    pick_right: 'B가 더 좋음',
    tie: '비슷하게 좋음',
    both_bad: '둘 다 나쁨',
    undo: '취소',
    count: '{done} / {goal}',
    beyond: '{done}표',
    thanks: '감사합니다!',
    reached: '{done}표를 주셨고 모두 저장되었습니다. 이 페이지를 닫거나 계속 투표하셔도 됩니다.',
    exhausted: '모든 그림 쌍을 보셨습니다. {done}표가 저장되었으니 이 페이지를 닫으셔도 됩니다.',
    more: '계속 투표',
    loading: '그림을 불러오는 중…',
    waiting: '서버가 응답하지 않습니다. 아직 보내지 못한 표는 이 브라우저에 보관되며 연결되는 대로 전송됩니다.',
    gone: '이 쌍의 그림이 없습니다. 다음 쌍으로 넘어갑니다.',
    empty: '아직 투표할 시험이 없습니다.'
  }
}

/** Code -> the language's own name. */
export const languages = Object.fromEntries(
  Object.entries(TEXTS).map(([code, texts]) => [code, texts.own])
)

/** The first of these wishes ('ja-JP', 'fr', …) that there are words for. */
export function choose(wishes) {
  const codes = wishes.map((wish) => (wish ?? '').toLowerCase().split('-')[0])
  return codes.find((code) => Object.hasOwn(TEXTS, code)) ?? 'en'
}

export function say(language, key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name])
}
