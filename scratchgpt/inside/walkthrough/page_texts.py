"""What each page of the walkthrough says, in Chinese and English.

A text may hold names in braces, which the page fills in. Both languages must use the same names; a test looks.
"""

from __future__ import annotations

from typing import NamedTuple

from scratchgpt.inside.bilingual import Text


class PageText(NamedTuple):
    """What is said on a page.

    Attributes:
        title: of the page.
        body: the explanation, with names in braces that the page fills in.
    """

    title: Text
    body: Text


def _page(title_zh: str, title_en: str, zh: str, en: str) -> PageText:
    return PageText(Text(title_zh, title_en), Text(zh, en))


PAGES: dict[str, PageText] = {
    # -- one sentence forward
    "model": _page(
        "模型和句子",
        "The model and the sentence",
        "模型：{where}。下面每个数都是它此刻算出来的，没有一个是编的；看完之后，磁盘上什么都不会变。"
        "“形状”按（句子，头，词元，通道）的次序写，这里只有一个句子。",
        "The model: {where}. Every number below is computed by it at this moment; nothing on disk will change. Shapes "
        "are in the order (sentence, head, token, channel), and there is one sentence.",
    ),
    "tokens": _page(
        "词元 tokens：文字变成编号",
        "Tokens: text becomes ids",
        "模型只认编号。分词器把“{sentence}”切成 {count} 个词元（token），每个词元在词表里有一个编号。"
        "字节是它在 UTF-8 里的样子：一个汉字 3 个字节。␣ 是空格，⟨E4⟩ 是不成整字的字节。",
        "A model only knows ids. The tokenizer cuts “{sentence}” into {count} tokens, each with an id in the "
        "vocabulary. The bytes are its UTF-8 form: a Chinese character takes 3. ␣ is a space, ⟨E4⟩ a byte that is no "
        "character by itself.",
    ),
    "embedding": _page(
        "词嵌入 embedding：查表",
        "Token embedding: look up rows",
        "词嵌入表有 {vocab} 行，每行 {channels} 个数。编号是几就取第几行，这一行数就是这个词元对模型的意思。"
        "开始时是随机数，训练把意思放了进去。",
        "The token table has {vocab} rows of {channels} numbers. An id picks its row, and that row is what the token "
        "means to the model: random at first, filled with meaning by training.",
    ),
    "position": _page(
        "位置嵌入：你排第几",
        "Position embedding: where a token stands",
        "注意力自己分不清先后，所以每个位置也有一行数：第 0 个词元取第 0 行，第 1 个取第 1 行……最多 {context} 个位置。",
        "Attention cannot tell order by itself, so every position has a row of its own: row 0 for the first token, "
        "row 1 for the next, up to {context} positions.",
    ),
    "sum": _page(
        "相加：残差流的起点",
        "The sum: where the residual stream begins",
        "词元的一行加上位置的一行。从这里到最后，每个词元始终是一行 {channels} 个数，"
        "各层只是往上面加东西：这条路叫残差流（residual stream）。",
        "The token's row plus the position's row. From here to the end each token is one row of {channels} numbers, "
        "and every layer only adds to it: that road is the residual stream.",
    ),
    "before": _page(
        "前面的层",
        "The layers before",
        "第 {layer} 层之前的各层已经算过（--layer 0 从头看）。每层往残差流上加两次：一次注意力，一次前馈。"
        "下面是每个词元那行数的长度 ‖x‖（平方和的平方根）。",
        "The layers before layer {layer} have run (--layer 0 begins at the beginning). Each adds to the residual stream "
        "twice: attention, then feed-forward. Below, the length ‖x‖ of each token's row (root of the sum of squares).",
    ),
    "layernorm_1": _page(
        "层归一化 layernorm",
        "Layernorm",
        "先把每一行数理整齐：减去平均数 μ，除以标准差，再乘上学到的 w、加上学到的 b。"
        "这样不管残差流长到多大，注意力看到的数总是差不多大小。",
        "Each row is put in order first: minus its mean μ, divided by its standard deviation, times a learned w, plus a "
        "learned b. However large the residual stream grows, attention sees numbers of the same size.",
    ),
    "qkv": _page(
        "Q、K、V：查询、键、值",
        "Q, K, V: queries, keys, values",
        "一次矩阵乘法同时算出三样：查询 Q（我在找什么）、键 K（我有什么）、值 V（我能给什么）。"
        "{channels} 个通道平分给 {heads} 个头，每头 {size} 个；这里看第 {head} 头。",
        "One matrix product makes three things: queries Q (what am I looking for), keys K (what do I have), values V "
        "(what can I give). {heads} heads share the {channels} channels, {size} each; this is head {head}.",
    ),
    "scores": _page(
        "注意力分数：谁该看谁",
        "Attention scores: who should look at whom",
        "每个词元的查询与每个词元的键做点积：越合得来，分数越高。除以 √{size}，免得通道一多分数就变大。"
        "行是谁在看，列是看谁。",
        "Each token's query times each token's key: the better they fit, the higher the score. Divided by √{size}, so "
        "that more channels do not mean larger scores. Rows look, columns are looked at.",
    ),
    "mask": _page(
        "因果掩码：不许偷看后面",
        "The causal mask: no looking ahead",
        "模型要学的是猜下一个词元，后面的就不许看：把那些分数换成 -∞，因为 e 的 -∞ 次方是 0。",
        "The model learns to guess the next token, so it must not see it: scores of later tokens become -∞, "
        "and e to the power of -∞ is 0.",
    ),
    "softmax": _page(
        "softmax：一行一行变成权重",
        "Softmax: row by row into weights",
        "每行先减去最大的分数（防止溢出），取 e 的幂，再除以这一行的和。权重都不小于 0，加起来正好是 1。",
        "Each row: subtract its largest score (so that nothing overflows), take e to the power, divide by the row's sum. "
        "The weights are never negative and add up to 1.",
    ),
    "mix": _page(
        "混合：按权重取值",
        "The mix: values by weight",
        "每个词元从看到的词元那里按权重拿来值 V，加在一起。第一个词元只能看自己，拿到的就是自己的值。",
        "Each token takes the values V of the tokens it sees, by weight, and adds them up. The first token sees only "
        "itself and gets its own value.",
    ),
    "heads": _page(
        "所有的头拼起来",
        "All heads side by side",
        "{heads} 个头各看各的，结果并排放好，又是 {channels} 个数。下表：最后一个词元“{token}”在每个头里看谁。",
        "The {heads} heads look on their own; their results side by side are {channels} numbers again. The table: whom "
        "the last token “{token}” looks at in every head.",
    ),
    "projection": _page(
        "输出投影",
        "Output projection",
        "再乘一个矩阵，把各个头的发现混在一起，准备写回残差流。",
        "One more matrix mixes what the heads have found, ready for the residual stream.",
    ),
    "residual_1": _page(
        "残差相加：注意力写回",
        "Residual: attention writes back",
        "注意力的结果不替换原来的数，而是加上去。原来的信息原样保留，往回走的梯度也有了一条直路。",
        "Attention does not replace the numbers, it adds to them. What was there stays, and the gradient gets a straight "
        "road back.",
    ),
    "layernorm_2": _page(
        "第二次层归一化",
        "Second layernorm",
        "前馈网络之前，同样先理整齐；它有自己的 w 和 b。",
        "The same again before the feed-forward network, with a w and b of its own.",
    ),
    "feed_forward_in": _page(
        "前馈网络：展开",
        "Feed-forward: wide",
        "每个词元单独走过一个两层的小网络。第一层把 {channels} 个数变成 {inner} 个：每一个都在问“这里有没有某种特征？”",
        "Each token on its own goes through a small network of two layers. The first makes {inner} numbers out of "
        "{channels}; each asks whether some feature is there.",
    ),
    "gelu": _page(
        "GELU：弯一下",
        "GELU: the bend",
        "负数几乎压成 0，正数几乎原样通过，中间是圆滑的弯。没有这个弯，两次矩阵乘法就等于一次。"
        "这里有 {active} 的数大于 0。",
        "Negative numbers are nearly silenced, positive ones nearly pass, with a smooth bend between. Without it two "
        "matrix products would be no more than one. {active} of the numbers here are above 0.",
    ),
    "feed_forward_out": _page(
        "前馈网络：收回",
        "Feed-forward: back",
        "第二层把 {inner} 个数收回成 {channels} 个。快的内核把这三步合在一起算，从不保存中间的数；"
        "上面看到的是用参考实现重算的，与合算的结果相等。",
        "The second layer makes {channels} numbers of {inner}. The fast kernel does these three steps at once and keeps "
        "none of what is between; the references computed it for you above, and agree with the fused result.",
    ),
    "residual_2": _page(
        "残差相加：前馈写回",
        "Residual: feed-forward writes back",
        "加回残差流，第 {layer} 层就走完了。",
        "Added to the residual stream, and layer {layer} is done.",
    ),
    "after": _page(
        "后面的层",
        "The layers after",
        "其余各层做同样的事，只是权重不同（--layer 选择细看哪一层）。‖x‖ 是每个词元那行数的长度。",
        "The other layers do the same with weights of their own (--layer chooses which to see closely). ‖x‖ is the "
        "length of each token's row.",
    ),
    "final_norm": _page(
        "最后的层归一化",
        "The last layernorm",
        "交给输出头之前，再理整齐一次。",
        "Put in order once more before the head reads it.",
    ),
    "logits": _page(
        "logits：给每个词元打分",
        "Logits: a score for every token",
        "最后一个词元的那行数，与词嵌入表的每一行做点积：越像，分数越高。输入和输出用的是同一张表。"
        "这是 {vocab} 个分数里最高的几个。",
        "The last token's row times every row of the token table: the more alike, the higher the score. Input and output "
        "share one table. These are the highest of {vocab} scores.",
    ),
    "probabilities": _page(
        "softmax：分数变成概率",
        "Softmax: scores become probabilities",
        "同样的 softmax，这次是对整个词表：{vocab} 个概率加起来是 1。",
        "The same softmax, now over the whole vocabulary: {vocab} probabilities that add up to 1.",
    ),
    "sampling": _page(
        "抽一个词元",
        "Draw a token",
        "分数先除以温度 {temperature}，只留最高的 {kept} 个（--temperature、--top-k），再变成概率。随机数 u = {uniform}（--seed）："
        "按编号把概率一个个加起来，第一个使和超过 u 的词元被抽中：“{token}”。",
        "The scores are divided by the temperature {temperature}, the highest {kept} kept (--temperature, --top-k) and "
        "made probabilities. The random number is u = {uniform} (--seed): add the probabilities up by id; the token that "
        "makes the sum exceed u is drawn: “{token}”.",
    ),
    "greedy": _page(
        "取最高的词元",
        "Take the likeliest token",
        "温度 0（--temperature）：不抽签，每次都取分数最高的词元“{token}”，随机数不起作用。",
        "Temperature 0 (--temperature): no draw, but always the token with the highest score, “{token}”; the random "
        "number has no say.",
    ),
    # -- back
    "loss": _page(
        "损失：与目标对照",
        "The loss: against the target",
        "每个位置的目标是句子里的下一个词元；最后一个位置的目标是{target}。"
        "损失是目标概率的负对数：猜得准接近 0，全凭瞎猜是 ln {vocab} = {chance}。平均：{loss}。",
        "At each position the target is the sentence's next token; at the last one it is {target}. The loss is minus "
        "the logarithm of its probability: near 0 when sure and right, ln {vocab} = {chance} for a blind guess. "
        "Mean: {loss}.",
    ),
    "grad_logits": _page(
        "往回走的第一步：p - 独热",
        "First step back: p - one-hot",
        "损失对 logits 的梯度：概率减去目标的独热向量，再除以 {count} 个位置。目标“{token}”的梯度是负的，"
        "顺着负梯度走，它的分数会升，其余的会降。",
        "The gradient of the loss with respect to the logits: probability minus one-hot of the target, over {count} "
        "positions. The target “{token}” has a negative one: going against the gradient raises its score, lowers others.",
    ),
    "backward_pass": _page(
        "梯度一路往回走",
        "The gradient goes all the way back",
        "前向的每一步都倒着走一遍：拿到输出的梯度 dy，用自己的导数算出输入的梯度。"
        "‖dy‖ 是传到这一步的梯度的长度。残差相加让它不会在半路消失。",
        "Every step forward is walked backward: it gets the gradient dy of its output and turns it into those of its "
        "inputs. ‖dy‖ is the length of what arrives. The residual sums keep it from dying out on the way.",
    ),
    "back_feed_forward": _page(
        "梯度穿过前馈网络",
        "The gradient through the feed-forward network",
        "先乘 W₂ 的转置，再乘 GELU 的导数：前向被压成 0 的单元，导数也接近 0，它们这次学不到什么。",
        "First times W₂ transposed, then times the derivative of GELU: units that were silenced in the forward pass have a "
        "derivative near 0 and learn little this time.",
    ),
    "back_attention": _page(
        "梯度穿过注意力",
        "The gradient through attention",
        "先算权重的梯度 dP，再穿过 softmax 得到分数的梯度 dS：负的地方该多看一点，正的地方该少看一点。"
        "每行的和是 0，因为权重的和总是 1。",
        "First the gradient dP of the weights, then through the softmax to dS of the scores: look more where it is "
        "negative, less where it is positive. Each row adds up to 0, since the weights always add up to 1.",
    ),
    "back_layernorm": _page(
        "梯度穿过层归一化",
        "The gradient through layernorm",
        "平均数和标准差也取决于 x，所以要从梯度里减去与它们有关的部分：剩下的每行之和是 0。",
        "Mean and deviation depend on x as well, so their share is taken out of the gradient: each row left adds up to 0.",
    ),
    "embedding_gradient": _page(
        "梯度到达词嵌入的一行",
        "The gradient reaches a row of the token table",
        "词元“{token}”（编号 {id}）的那一行收到两份梯度：它作为输入被查过，作为输出被打过分。优化器看到的是两者之和。",
        "The row of “{token}” (id {id}) receives two gradients: it was looked up as input, and scored as output. The "
        "optimizer sees their sum.",
    ),
    "adamw": _page(
        "优化器走一步：AdamW",
        "One optimizer step: AdamW",
        "全部梯度的长度是 {norm}，{clipped}。m 是梯度的滑动平均，v 是其平方的滑动平均；改正开头的偏差后相除："
        "第一步每个数大约走 lr = {lr}，只看方向不看大小。",
        "All gradients together have length {norm}, {clipped}. m is the running mean of the gradient, v of its square; "
        "corrected for their start and divided, the first step moves every number by about lr = {lr}, by direction only.",
    ),
    "moved": _page(
        "概率动了",
        "The probability has moved",
        "所有参数都走了一步，再算一遍：目标“{token}”的概率从 {before} 变成 {after}，损失从 {loss_before} 变成 {loss_after}。"
        "训练就是把这一步重复成千上万次。",
        "All parameters have made one step; run again: the probability of “{token}” went from {before} to {after}, the "
        "loss from {loss_before} to {loss_after}. Training is this step, thousands of times.",
    ),
    "all_steps": _page(
        "全部操作一览",
        "All operations at a glance",
        "前向 {forward} 次操作，反向 {backward} 次，合算的内核里还藏着 {hidden} 步，由参考实现重算。一共 {total} 步，每一步都有公式和源码；下表的源码都在 {folder}/ 里。",
        "{forward} operations forward, {backward} back, and {hidden} more hidden in fused kernels, computed anew by their "
        "references. {total} steps in all, each with its equation and its source; the sources below are in {folder}/.",
    ),
    # -- stage 2
    "sft_dialogue": _page(
        "监督微调：一段对话",
        "Supervised fine-tuning: one dialogue",
        "{where}。对话按聊天格式变成一条序列，共 {count} 个词元；<|im_start|> 和 <|im_end|> 各是一个特殊词元。",
        "{where}. A dialogue becomes one sequence in the chat format, {count} tokens; <|im_start|> and <|im_end|> are "
        "one special token each.",
    ),
    "sft_losses": _page(
        "每个词元的损失，只算助手的",
        "The loss of every token, and only the assistant's count",
        "用户说的话是条件，不是目标：{count} 个位置里只有助手说的 {counted} 个计入损失，连同结束这一轮的 <|im_end|>，模型由此学会停下。",
        "What the user says is given, not a target: of {count} positions only the assistant's {counted} count, with the "
        "<|im_end|> that ends the turn, so that the model learns to stop.",
    ),
    "sft_gradient": _page(
        "不计入的位置没有梯度",
        "What does not count has no gradient",
        "损失对 logits 的梯度是 p - 独热，乘上这个词元在平均里的份额；被遮住的位置份额是 0。猜得越不准，‖dz‖ 越大。",
        "The gradient of the logits is p - one-hot times the token's share in the mean; the share of a masked one is 0. "
        "The worse the guess, the larger ‖dz‖.",
    ),
    "sft_step": _page(
        "走一步",
        "One step",
        "梯度的长度 {norm}，学习率 {lr}。这段对话的损失从 {before} 变成 {after}。",
        "The gradient's length is {norm}, the learning rate {lr}. The loss of this dialogue goes from {before} to {after}.",
    ),
    # -- stage 3
    "reward_pair": _page(
        "奖励模型：一对回答",
        "The reward model: a pair of answers",
        "{where}。同一个问题，两个回答，人（或规则）说出哪个更好；这一对里，较差的毛病是：{kind}。",
        "{where}. One question, two answers, and the word of a person (or a rule) which is better; what is wrong with "
        "the worse one here: {kind}.",
    ),
    "reward_scores": _page(
        "两个分数",
        "Two scores",
        "语言模型的输出头换成一个数：最后一个词元的那行数（{channels} 个）与一个向量 w 做点积。",
        "The head of the language model is replaced by one number: the last token's row ({channels} numbers) times a "
        "vector w.",
    ),
    "reward_running": _page(
        "分数怎样一路形成",
        "How the score forms",
        "同一个头放在每个位置上读一遍。只有最后一个数是分数；PPO 的价值模型却要读所有的数。",
        "The same head read at every position. Only the last number is the score; PPO's value model reads them all.",
    ),
    "reward_loss": _page(
        "差距变成概率，概率变成损失",
        "The margin becomes a probability, the probability a loss",
        "布拉德利-特里模型：好回答胜出的概率是 sigmoid(差距)。差距 {margin}，概率 {probability}，损失 {loss}。只有差距有意义，分数同加一个数什么都不变。",
        "The Bradley-Terry model: the better one wins with probability sigmoid(margin). Margin {margin}, probability "
        "{probability}, loss {loss}. Only the margin means something: add a number to both scores and nothing changes.",
    ),
    "reward_gradient": _page(
        "一推一拉",
        "Push and pull",
        "损失写成两个分数上的 softmax。梯度大小相等、方向相反：好回答的分数往上推，差回答的往下拉；已经分得很开时，梯度接近 0。",
        "The loss is written as a softmax over the two scores. The gradients are equal and opposite: one score is pushed "
        "up, the other down, and hardly any more once they are far apart.",
    ),
    "reward_step": _page(
        "走一步，差距变大",
        "One step, and the margin grows",
        "梯度的长度 {norm}，学习率 {lr}，两个回答重新打分。",
        "The gradient's length is {norm}, the learning rate {lr}; both answers are scored again.",
    ),
    # -- stage 4
    "ppo_rollout": _page(
        "PPO：策略回答一个问题",
        "PPO: the policy answers a prompt",
        "{where}。正在训练的语言模型叫策略（policy），按温度 {temperature} 抽样作答，这次 {count} 个词元。每个词元是一个动作。",
        "{where}. The language model in training is the policy; it answers by sampling at temperature {temperature}, "
        "{count} tokens this time. Every token is an action.",
    ),
    "ppo_score": _page(
        "奖励模型给整个回答打分",
        "The reward model scores the whole answer",
        "分数以 SFT 模型自己的回答为尺：减去它们的平均分，除以标准差，限制在 ±{clip} 之内。没有说完的回答得 {missing}。这里是 {score}。",
        "The scale is that of the SFT model's own answers: minus their mean, divided by their deviation, held within "
        "±{clip}. An answer that never ends gets {missing}. Here it is {score}.",
    ),
    "ppo_rewards": _page(
        "每个词元的奖励",
        "A reward for every token",
        "离开出发时的模型 π_ref 要付代价：每个词元扣 β = {kl_coef} 乘以两个模型对数概率之差。分数加在最后一个词元上。整个回答的 KL 是 {total}。",
        "Straying from the model π_ref it began as costs: for each token β = {kl_coef} times the difference of the log "
        "probabilities. The score is added at the last token. The KL of the answer is {total}.",
    ),
    "ppo_advantages": _page(
        "价值与优势",
        "Values and advantages",
        "价值 V 是价值模型在每个词元之前预计还会得到的奖励（它从奖励模型出发，先单独学了 {warmup} 轮）。优势 A：实际比预计好多少；λ = {gae_lambda} 决定往后看多远。从最后一个词元往前算。",
        "V is what the value model expects before each token (it begins as the reward model and has learned alone for "
        "{warmup} iterations). The advantage A is how much better it went; λ = {gae_lambda} says how far to look ahead. "
        "Computed from the last token back.",
    ),
    "ppo_ratio": _page(
        "更新策略：比值与裁剪",
        "The policy's update: ratio and clip",
        "优势在 {batch} 个回答里标准化为 Â。做了 {updates} 次更新（lr = {lr}）之后，比值说明每个词元的概率变成原来的几倍。超出 {low} 到 {high} 且方向有利的部分不再有梯度；这批里 {outside} 的词元在外面。",
        "Advantages are whitened over {batch} answers to Â. After {updates} updates (lr = {lr}) the ratio says how many "
        "times likelier each token has become. Beyond {low} to {high} in the good direction there is no more gradient; "
        "{outside} of the batch's tokens are outside.",
    ),
    "ppo_value": _page(
        "更新价值模型",
        "The value model's update",
        "价值模型学着预计回报 R；它每次也只许移动 ±{clip}，以免被一批数据带偏。",
        "The value model learns to expect the return R; it, too, may move only ±{clip} at a time, so that one batch does "
        "not mislead it.",
    ),
    # -- stage 5
    "rlvf_task": _page(
        "可验证的反馈：一道题",
        "Verified feedback: a task",
        "{where}。这里没有奖励模型：{verifier} 用程序判断回答对不对，像细心的老师那样读它最后认定的答案。",
        "{where}. There is no reward model here: {verifier} judges by program whether an answer is right, reading like a "
        "careful teacher what it finally claims.",
    ),
    "rlvf_group": _page(
        "一组回答，互为标准",
        "A group of answers, each other's measure",
        "同一道题抽 {count} 个回答（温度 {temperature}），对的得 {correct}，错的得 {incorrect}。优势就是奖励减去组内平均：不需要价值模型。{lesson}",
        "{count} answers to the same task (temperature {temperature}); right earns {correct}, wrong {incorrect}. The "
        "advantage is the reward minus the group's mean: no value model is needed. {lesson}",
    ),
    "rlvf_tokens": _page(
        "一个回答里的每个词元",
        "Every token of an answer",
        "一个回答的所有词元共用它的优势。损失是 PPO 的裁剪损失，加上 β = {kl_coef} 乘以离参考模型的 KL。下面是优势最高和最低的回答，比值是走一步之后的。",
        "All tokens of an answer share its advantage. The loss is PPO's clipped one plus β = {kl_coef} times the KL from "
        "the reference. Below, the answers of highest and lowest advantage; the ratio is after one step.",
    ),
    "rlvf_step": _page(
        "走一步：对的更可能，错的更不可能",
        "One step: right ones likelier, wrong ones less",
        "学习率 {lr}，更新 {updates} 次。之前和之后是整个回答的对数概率。",
        "Learning rate {lr}, updates made: {updates}. Before and after are the log probabilities of whole answers.",
    ),
}
"""Title and explanation by the page's key."""
